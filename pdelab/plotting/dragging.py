"""Pictures to drag: sliders above a picture that is drawn again while they move."""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from pdelab import checks
from pdelab.plotting.looks import style

__all__ = ["drag"]


def drag(draw: Callable[..., Any], **sliders: tuple | list) -> Any:
    """A picture to drag: sliders above it, and it is drawn again while they move. Where nobody can drag, the picture.

    Sliders need the extra `notebooks` (ipywidgets) and a person before the notebook. In a plain script, without
    ipywidgets, and in a notebook that is executed for the record the result is the picture at the start values.

    Parameters
    ----------
    draw : callable
        Takes the sliders' values by name and returns a Figure of `subplots`. A ValueError is shown in its own words.
    **sliders : tuple or list
        (low, high, start), three whole numbers for whole steps; (low, high, start, "log") for steps of equal ratio;
        a list for a choice among its members, the first of them at the start.

    Returns
    -------
    matplotlib Figure, or ipywidgets.VBox where somebody can drag
        Shown by a notebook as the last line of a cell. `.children` are the sliders, the picture and a line for words.

    Raises
    ------
    ValueError
        For a slider that is none of the three kinds.

    Examples
    --------
    >>> import numpy as np
    >>> from pdelab import plotting
    >>> x = np.linspace(-1.0, 1.0, 101)
    >>> def parabola(gamma, side):
    ...     figure, ax = plotting.subplots()
    ...     ax.plot(x, side * x**2 / (1 + gamma))
    ...     return figure
    >>> picture = plotting.drag(parabola, gamma=(0.01, 10.0, 1.0, "log"), side=[1, -1])
    """
    checked = {name: _slider(name, slider) for name, slider in sliders.items()}
    first = {name: slider[0] if isinstance(slider, list) else slider[2] for name, slider in checked.items()}
    styled = style()(draw)
    start = styled(**first)
    return _widgets(styled, start, checked) if _somebody_can_drag() else start


def _slider(name, slider):
    """A slider of `drag`, checked: a list of choices, or (low, high, start) with or without "log"."""
    expected = 'a list of choices, or (low, high, start) with low <= start <= high and, with "log", low > 0'
    if isinstance(slider, list) and slider:
        return slider
    if not isinstance(slider, tuple) or len(slider) not in (3, 4) or slider[3:] not in ((), ("log",)):
        checks.refuse(name, expected, slider)
    low, high, start = (checks.finite(name, value) for value in slider[:3])
    if not low <= start <= high or low == high or (slider[3:] and low <= 0):
        checks.refuse(name, expected, slider)
    return slider


def _somebody_can_drag():
    """Whether ipywidgets is there and a person before the kernel: one that runs for the record cannot be asked."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return bool(request.get("content", {}).get("allow_stdin")) and find_spec("ipywidgets") is not None


def _widgets(draw, start, sliders):
    """The sliders, the picture and a line for words, tied together."""
    import ipywidgets

    picture, words = ipywidgets.Image(value=start._repr_png_()), ipywidgets.Label()
    handles = {name: _handle(name, slider) for name, slider in sliders.items()}

    def redraw(_):
        try:
            picture.value = draw(**{name: handle.value for name, handle in handles.items()})._repr_png_()
            words.value = ""
        except ValueError as error:
            words.value = str(error)

    for handle in handles.values():
        handle.observe(redraw, names="value")
    return ipywidgets.VBox([*handles.values(), picture, words])


def _handle(name, slider):
    """The ipywidget of one slider."""
    import ipywidgets

    try:
        description = unicodedata.lookup(f"GREEK SMALL LETTER {name}")
    except KeyError:
        description = name
    if isinstance(slider, list):
        return ipywidgets.SelectionSlider(options=slider, value=slider[0], description=description)
    low, high, value = slider[:3]
    if slider[3:]:
        low, high = math.log10(low), math.log10(high)
        step = (high - low) / 100
        return ipywidgets.FloatLogSlider(min=low, max=high, value=value, step=step, description=description)
    if all(isinstance(end, int) for end in slider):
        return ipywidgets.IntSlider(min=low, max=high, value=value, description=description)
    step = (high - low) / 100
    return ipywidgets.FloatSlider(
        min=low, max=high, value=value, step=step, description=description, readout_format=".3g"
    )
