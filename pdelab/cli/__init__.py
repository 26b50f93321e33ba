"""The command line: results to stdout, progress and notes to stderr; status 0 when all is as expected.

Status 1: a check or a claim failed. Status 2: the question was wrong, said in one sentence. Status 130: interrupted.
"""

import argparse
import os
import sys

from pdelab import __version__
from pdelab.cli import bench, bridge, catalogue, equations, exploration, reproduction, shared, training

__all__ = ["build_parser", "main"]

VERBS = (
    catalogue.add_list,
    reproduction.add_figure,
    reproduction.add_verify,
    reproduction.add_reproduce,
    equations.add_solve,
    equations.add_simulate,
    training.add_train,
    training.add_spectrum,
    bridge.add_bridge,
    exploration.add_explore,
    bench.add_bench,
)


def main(argv=None):
    """Run the command line with these arguments; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    shared.quiet(arguments.quiet)
    try:
        return arguments.run(arguments)
    except ValueError as error:
        return _refuse(str(error))
    except FloatingPointError as error:
        return _refuse(str(error), status=1)
    except ModuleNotFoundError as error:
        return _refuse(f"this needs a package that is not installed: {error}")
    except KeyboardInterrupt as interruption:
        return _refuse(f"interrupted; {interruption or 'what was written so far is whole'}", status=130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser():
    """The argument parser: one `add_<verb>` and one `_run_<verb>` for each verb."""
    parser = argparse.ArgumentParser(prog="pdelab", description="A numerical PDE and SDE laboratory.")
    parser.add_argument("--version", action="version", version=f"pdelab {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for add in VERBS:
        add(verbs)
    for verb in verbs.choices.values():
        verb.add_argument("--quiet", action="store_true", help="results and refusals only: no notes, no progress")
    return parser


def _refuse(message, status=2):
    print(f"pdelab: {message}", file=sys.stderr)
    return status
