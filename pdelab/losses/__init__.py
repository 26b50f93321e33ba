"""Losses: `Loss`, a function with its derivatives from a formula or from callables, and a gallery of named losses."""

from pdelab.losses.enclosures import Enclosure
from pdelab.losses.landscapes import (
    ackley,
    cone,
    double_well,
    example_6_43,
    gallery,
    gaussian_mixture,
    mueller_brown,
    quadratic,
    rastrigin,
    rugged,
    sharp_and_wide,
    three_wells,
    two_parabolas,
)
from pdelab.losses.loss import Loss
from pdelab.losses.modules import cache_directory, compiled_module
from pdelab.losses.search import Minimum

__all__ = [
    "Enclosure", "Loss", "Minimum", "ackley", "cache_directory", "compiled_module", "cone", "double_well",
    "example_6_43", "gallery", "gaussian_mixture", "mueller_brown", "quadratic", "rastrigin", "rugged",
    "sharp_and_wide", "three_wells", "two_parabolas",
]  # fmt: skip
