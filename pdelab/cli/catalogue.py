"""`pdelab list`: everything there is, by name."""

import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from pdelab import records
from pdelab.cli.shared import first_line

__all__ = ["add_list", "equation", "equations", "scheme_table"]


def add_list(verbs):
    """The verb `list`."""
    parser = verbs.add_parser("list", help="equations, losses, schemes, optimizers, figures, claims, data sets")
    parser.add_argument("what", nargs="?", choices=[*CATALOGUE], help="one kind only")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_list)


def _run_list(arguments):
    kinds = [arguments.what] if arguments.what else list(CATALOGUE)
    catalogue = {kind: CATALOGUE[kind]() for kind in kinds}
    if arguments.json:
        print(records.dumps(catalogue))
        return 0
    for kind, entries in catalogue.items():
        print(f"{kind} ({len(entries)})" if entries else f"{kind}: needs pdelab[networks]")
        for name, text in entries.items():
            print(f"  {name:<28} {text}")
    return 0


def _equations():
    from pdelab.paths import System

    return {kind.__name__: first_line(kind) for kind in (*equations().values(), *_descendants(System))}


def _descendants(kind):
    """All public classes that inherit from this one."""
    below = [other for child in kind.__subclasses__() for other in (child, *_descendants(child))]
    return [other for other in below if not other.__name__.startswith("_")]


def _losses():
    from pdelab import losses

    return {name: first_line(make) for name, make in losses.gallery().items()}


def _schemes():
    return {
        f"{verb}: {name}": first_line(f) for verb, f_by_name in scheme_table().items() for name, f in f_by_name.items()
    }


def _figures():
    from pdelab import figures

    return {name: module.TITLE for name, module in figures.gallery().items()}


def _claims():
    from pdelab import claims

    return {row.id: f"[{row.as_printed}] {row.statement}" for row in claims.ledger().values()}


def _optimizers():
    try:
        from pdelab.networks.training import OPTIMIZERS
    except ImportError:
        return {}
    return {name: f"{module}.{factory}" for name, (module, factory, _) in OPTIMIZERS.items()}


def _recipes():
    try:
        from pdelab.networks.training import RECIPES
    except ImportError:
        return {}
    return {
        f"{family}/{name}": ", ".join(f"{key}={value}" for key, value in run["arguments"]["optimizer_options"].items())
        for family, members in RECIPES.items()
        for name, run in members.items()
    }


def _models():
    try:
        from pdelab.networks.models import MODELS
    except ImportError:
        return {}
    return {name: first_line(build) for name, (build, _) in MODELS.items()}


def _data():
    try:
        from pdelab.networks.data import DATA
    except ImportError:
        return {}
    return {name: first_line(load) for name, (load, *_) in DATA.items()}


CATALOGUE = {
    "equations": _equations,
    "losses": _losses,
    "schemes": _schemes,
    "figures": _figures,
    "claims": _claims,
    "optimizers": _optimizers,
    "recipes": _recipes,
    "models": _models,
    "data": _data,
}


def equations(wanted=None):
    """The equations of `solve` by name; unless `wanted` is there, all modules of the package are imported to find them.

    So are those that other packages name as entry points of the group "pdelab".
    """
    import pdelab
    from pdelab.stepping import EQUATIONS

    for module in iter_modules(pdelab.__path__):
        if wanted in EQUATIONS:
            break
        if module.name != "cli" and f"pdelab.{module.name}" not in sys.modules:
            with suppress(ImportError):  # of an extra that is not installed
                import_module(f"pdelab.{module.name}")
    for entry in entry_points(group="pdelab") if wanted not in EQUATIONS else ():
        entry.load()
    return EQUATIONS


def equation(name):
    """The equation of that name; ValueError with the names there are."""
    names = equations(wanted=name)
    if name not in names:
        raise ValueError(f"unknown equation {name!r}: choose from {', '.join(names)}")
    return names[name]


def scheme_table():
    """Schemes by equation and name; those of `simulate` under "paths"."""
    from pdelab.paths.schemes import SCHEMES
    from pdelab.stepping import schemes_of

    return {name: schemes_of(kind) for name, kind in equations().items()} | {"paths": dict(sorted(SCHEMES.items()))}
