"""Type hints that public functions share, each spelled once.

Array         what comes back: float64 numbers
Field         what fills a grid: a Loss, or its values on the nodes
MovingField   a Field, or a function of time whose values are fields
Where         a Grid, or points (..., d), in one dimension (...,)
Times         a time, or an increasing sequence of them
Schedule      a number, or a function of time
Progress      True for a bar on stderr, or a function (done, in all)
OnSave        a function (time, values), called as soon as a saved time is reached
Box           (lower, upper): numbers, or one a coordinate
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdelab.grid import Grid
from pdelab.losses import Loss

__all__ = ["Array", "Box", "Field", "MovingField", "OnSave", "Progress", "Schedule", "Times", "Where"]

Array = NDArray[np.float64]
Box = tuple[ArrayLike, ArrayLike]
Field = Loss | ArrayLike
MovingField = Field | Callable[[float], ArrayLike]
OnSave = Callable[[float, Array], object]
Progress = bool | Callable[[float, float], object]
Schedule = float | Callable[[float], float]
Times = float | Sequence[float] | Array
Where = Grid | ArrayLike
