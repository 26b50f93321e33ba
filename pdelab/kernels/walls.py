"""Numba kernels of paths in a box: mirrors, absorbing ends and periodic axes, after each step.

A row of `walls` is an axis: its two ends, what they do (OPEN, REFLECTING, ABSORBING, PERIODIC), the variance of a
step for the Brownian bridge (0: no bridge), the component whose sign a mirror turns (-1: none), and the direction of
reflection, one number a component, 1 along the axis itself: the co-normal D n / (n.D n).
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.noise import BLOCK, DRAWS, fraction, threefry13

OPEN, REFLECTING, ABSORBING, PERIODIC = 0.0, 1.0, 2.0, 3.0
FIXED = 6  # columns of a row before its direction of reflection
MIRRORS = 64  # reflections of one step at most; a longer way means that the step is too large

_KERNEL = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_KERNEL)
def confine(before, xs, n, seed, first, step, gone, walls):
    """Keep a block in its box: stop at absorbing ends, mirror at reflecting ones, wrap around periodic axes.

    gone[i]: the step at which the path first + i was absorbed, inf before; empty where nothing absorbs. An absorbed
    path stays for ever at the place where it left.
    """
    for i in range(n):
        if gone.size == 0:
            fold(xs, i, walls)
        elif gone[i] < math.inf:
            for j in range(walls.shape[1] - FIXED):
                xs[BLOCK * j + i] = before[BLOCK * j + i]
        else:
            gone[i] = absorb(before, xs, i, seed, first + i, step, walls)
            fold(xs, i, walls)


@njit(**_KERNEL)
def absorb(before, xs, i, seed, path, step, walls):
    """The time, in steps, at which this step of a path ends at an absorbing end, which becomes its state; or inf."""
    for j in range(walls.shape[1] - FIXED):
        if not math.isfinite(xs[BLOCK * j + i]):
            return math.inf  # an explosion is no exit
    stays, total = 1.0, 0.0
    for axis in range(walls.shape[0]):
        for end in range(2):
            chance = touch(before[BLOCK * axis + i], xs[BLOCK * axis + i], walls[axis], end)
            stays *= 1.0 - chance
            total += chance
    if stays == 1.0:
        return math.inf
    word, other = threefry13(np.uint64(path), np.uint64(step), np.uint64(seed), np.uint64(DRAWS))
    if fraction(word) < stays:
        return math.inf
    pick, chosen, least = fraction(other) * total, -1, math.inf
    for face in range(2 * walls.shape[0]):
        axis, end = face // 2, face % 2
        x, y = before[BLOCK * axis + i], xs[BLOCK * axis + i]
        chance = touch(x, y, walls[axis], end)
        part = share(x, y, walls[axis, end])
        if chance > 0.0 and ((pick >= 0.0 and pick < chance) or (chance == 1.0 and part < least)):
            chosen, least = face, part
        pick -= chance
    stop(before, xs, i, chosen, walls)
    return step - 0.5 if walls[chosen // 2, 4] > 0.0 else float(step)


@njit(**_KERNEL)
def share(x, y, face):
    """At which part of a step from x to y its face is met; at a distance from it, of the bridge's on average."""
    here, there = abs(x - face), abs(y - face)
    return here / (here + there) if here + there > 0.0 else 0.0


@njit(**_KERNEL)
def stop(before, xs, i, face, walls):
    """End a step where it meets a face, numbered 2 axis + end; no coordinate is beyond an absorbing end then."""
    axis = face // 2
    part = share(before[BLOCK * axis + i], xs[BLOCK * axis + i], walls[axis, face % 2])
    for j in range(walls.shape[1] - FIXED):
        start = before[BLOCK * j + i]
        place = start + part * (xs[BLOCK * j + i] - start)
        if j < walls.shape[0]:
            place = max(place, walls[j, 0]) if walls[j, 2] == ABSORBING else place
            place = min(place, walls[j, 1]) if walls[j, 3] == ABSORBING else place
        xs[BLOCK * j + i] = place
    xs[BLOCK * axis + i] = walls[axis, face % 2]


@njit(**_KERNEL)
def touch(x, y, wall, end):
    """Probability that a step from x to y meets an end, if it absorbs; what the other end mirrors is mirrored first."""
    if wall[2 + end] != ABSORBING:
        return 0.0
    sign = 1.0 if end == 0 else -1.0
    if wall[3 - end] == REFLECTING:
        far = sign * (wall[1 - end] - y)
        y = y if far >= 0.0 else y + 2.0 * sign * far
    away, distance = sign * (x - wall[end]), sign * (y - wall[end])
    if not (distance > 0.0 and away > 0.0):
        return 1.0
    return math.exp(-2.0 * away * distance / wall[4]) if wall[4] > 0.0 else 0.0


@njit(**_KERNEL)
def fold(xs, i, walls):
    """Mirror a path until it is inside, wrap periodic axes; NaN when MIRRORS are not enough."""
    for _ in range(MIRRORS):
        inside = True
        for axis in range(walls.shape[0]):
            low, high = walls[axis, 0], walls[axis, 1]
            y = xs[BLOCK * axis + i]
            if walls[axis, 2] == PERIODIC:
                if not (y >= low and y < high):
                    y -= (high - low) * math.floor((y - low) / (high - low))
                    xs[BLOCK * axis + i] = y if y < high else low
            elif y < low and walls[axis, 2] == REFLECTING:
                mirror(xs, i, walls[axis], 2.0 * (low - y))
                inside = False
            elif y > high and walls[axis, 3] == REFLECTING:
                mirror(xs, i, walls[axis], 2.0 * (high - y))
                inside = False
        if inside:
            return
    xs[i] = math.nan


@njit(**_KERNEL)
def mirror(xs, i, wall, way):
    """Move a path by `way` times the direction of reflection, and turn the component that turns."""
    for j in range(wall.size - FIXED):
        if wall[FIXED + j] != 0.0:
            xs[BLOCK * j + i] += way * wall[FIXED + j]
    turned = int(wall[5])
    if turned >= 0:
        xs[BLOCK * turned + i] = -xs[BLOCK * turned + i]


@njit(**_KERNEL)
def confine_all(before, x, begin, end, seed, shift, step, gone, walls):
    """`confine` for the paths begin to end of an ensemble x (d, paths), which was `before` (d, end - begin)."""
    xs, old = np.empty(x.shape[0] * BLOCK, x.dtype), np.empty(x.shape[0] * BLOCK, x.dtype)
    for first in range(begin, end, BLOCK):
        n = min(BLOCK, end - first)
        for j in range(x.shape[0]):
            for i in range(n):
                xs[BLOCK * j + i], old[BLOCK * j + i] = x[j, first + i], before[j, first - begin + i]
        confine(old, xs, n, seed, shift + first, step, gone[first : first + n], walls)
        for j in range(x.shape[0]):
            for i in range(n):
                x[j, first + i] = xs[BLOCK * j + i]
