"""Numba kernels over plain arrays: one file a subject, each kernel with a slow twin of the same name in tests/twins.

Arrays are copied entry by entry: for `out[:] = values` Numba also compiles the words in which it would refuse arrays of
two sizes, which is half of what a small kernel takes.
"""

import os
from pathlib import Path

from numba import config


def _keep_own_cache():
    """Numba unpickles what lies in the folder that `.numba_config.yaml` in the working directory names: where someone
    else may have written that file, kernels are kept beside their source as ever."""
    said = Path(".numba_config.yaml")
    if not hasattr(os, "getuid") or not said.is_file() or os.environ.get("NUMBA_CACHE_DIR"):
        return
    status = said.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        config.CACHE_DIR = ""


_keep_own_cache()
