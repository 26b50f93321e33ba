"""Sphinx: the pages of this folder, those that `pages.py` writes from the repository, and the reference."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pages  # noqa: E402

import pdelab  # noqa: E402

project, author, version = "pdelab", "the authors of pdelab", pdelab.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb"]
exclude_patterns = ["_build", "beyond", "extending"]
html_theme = "furo"
html_title = f"pdelab {version}"
html_extra_path = ["generated/beside"]  # the explorer's page, linked from `explorer.md`
default_role = "code"
nb_execution_mode = "off"  # the stored notebooks have been executed; a test executes them again
myst_enable_extensions = ["dollarmath", "amsmath"]
napoleon_custom_sections = ["Good values"]
napoleon_numpy_docstring, napoleon_google_docstring = True, False
napoleon_use_rtype, napoleon_use_ivar = False, True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
nitpick_ignore_regex = [(r"py:.*", r".*")]  # types in the docstrings are words, not names
suppress_warnings = ["ref.python", "mystnb.unknown_mime_type"]


def setup(app):
    """Write the generated pages before Sphinx looks for sources; make docstrings legal before napoleon reads them."""
    pages.write(HERE / "generated")
    app.connect("autodoc-process-docstring", lambda *event: pages.legal(event[-1]), priority=1)
