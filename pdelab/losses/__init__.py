"""Losses: `Loss`, a function with its derivatives from a formula or from callables, and a gallery of named losses."""

from pdelab.losses.loss import Loss
from pdelab.losses.modules import cache_directory, compiled_module

__all__ = ["Loss", "cache_directory", "compiled_module"]
