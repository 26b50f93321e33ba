"""The explorer: one local page on which a loss, its smoothings and the flows on them are dragged and read.

`compute` and `evolve` are pure and need nothing beyond the core; `export` and `serve` draw with Bokeh (extra
`explore`), the only place that does.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from pdelab.explorer.evolution import Evolution, evolve
from pdelab.explorer.table import Table, compute
from pdelab.losses import Loss

__all__ = ["Evolution", "Table", "compute", "evolve", "export", "serve"]


def export(path: str | PathLike, formula: str | Loss | None = None, lower: float = -5.0, upper: float = 5.0) -> Path:
    """Write the browser part of the explorer as one file that works without a server and without a network.

    Parameters
    ----------
    path : path of the HTML file
    formula : str, optional
        A loss of one variable; without it the page opens with the loss of Figure 3.2.
    lower, upper : float
        The interval that is drawn.

    Returns
    -------
    Path

    Raises
    ------
    ModuleNotFoundError
        Without Bokeh.
    ValueError
        A formula that cannot be read, or that has no finite smoothing on the interval.

    Examples
    --------
    >>> import inspect
    >>> list(inspect.signature(export).parameters)                       # writing a page takes Bokeh and some seconds
    ['path', 'formula', 'lower', 'upper']
    """
    _need_bokeh()
    from pdelab.explorer import page

    return page.export(path, formula, lower, upper)


def serve(
    formula: str | Loss | None = None,
    lower: float = -5.0,
    upper: float = 5.0,
    *,
    port: int = 5006,
    show: bool = True,
    on_ready: Callable[[str], object] | None = None,
) -> None:
    """Serve the explorer on the loopback interface until interrupted; parameters as for `export`.

    Parameters
    ----------
    port : int
        0 takes a free one.
    show : bool
        Open the page in the default browser.
    on_ready : callable, optional
        Called with the address once the page can be opened.
    formula : str or Loss, optional
    lower, upper : float
        As for `export`.

    Examples
    --------
    >>> import inspect
    >>> inspect.signature(serve).parameters["port"].default              # serves until it is interrupted
    5006
    """
    _need_bokeh()
    from pdelab.explorer import server

    server.serve(formula, lower, upper, port=port, show=show, on_ready=on_ready)


def _need_bokeh():
    try:
        import bokeh  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the explorer needs Bokeh: pip install 'pdelab[explore]'") from error
