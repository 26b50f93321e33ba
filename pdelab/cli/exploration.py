"""`pdelab explore`: one local page on which a loss and its smoothings are dragged and read."""

from pathlib import Path

from pdelab.cli.shared import note

__all__ = ["add_explore"]


def add_explore(verbs):
    """The verb `explore`."""
    parser = verbs.add_parser("explore", help="one local page: drag gamma, beta, D and read what becomes of a loss")
    parser.add_argument("formula", nargs="?", help="a loss of one variable, e.g. 'x**4/4 - x**2/2 + x/10'")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the page as one file that needs no server")
    parser.add_argument("--lower", type=float, default=-5.0)
    parser.add_argument("--upper", type=float, default=5.0)
    parser.add_argument("--port", type=int, default=5006, help="0 takes a free one; only this machine can connect")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    parser.set_defaults(run=_run_explore)


def _run_explore(arguments):
    from pdelab import explorer

    note("computing the tables of the page")
    place = (arguments.formula, arguments.lower, arguments.upper)
    try:
        if arguments.export:
            print(explorer.export(arguments.export, *place))
        else:
            explorer.serve(*place, port=arguments.port, show=not arguments.no_browser, on_ready=_announce)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    return 0


def _announce(address):
    print(address, flush=True)
    note("Ctrl-C ends it")
