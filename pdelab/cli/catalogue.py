"""`pdelab list`: everything there is, by name."""

from inspect import isfunction, signature

from pdelab import records
from pdelab.cli.shared import first_line


def add_list(verbs):
    """The verb `list`."""
    parser = verbs.add_parser("list", help="equations, losses, schemes, optimizers, figures, claims, data sets")
    parser.add_argument("what", nargs="?", choices=[*CATALOGUE], help="one kind only")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_list)


def _run_list(arguments):
    kinds = [arguments.what] if arguments.what else list(CATALOGUE)
    found = {kind: CATALOGUE[kind]() for kind in kinds}
    if arguments.json:
        print(records.dumps(found))
        return 0
    for kind, entries in found.items():
        print(f"{kind} ({len(entries)})" if entries else f"{kind}: needs pdelab[networks]")
        for name, text in entries.items():
            print(f"  {name:<28} {text}")
    return 0


def _equations():
    import pdelab as pl

    names = ("HamiltonJacobi", "Heat", "Burgers", "FokkerPlanck", "BackwardKolmogorov", "Langevin", "Underdamped")
    names += ("Diffusion", "FastSlow")
    return {name: first_line(getattr(pl, name)) for name in names if hasattr(pl, name)}


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


def scheme_table():
    """Schemes by equation and name: the public functions of its module that take what a scheme takes."""
    from pdelab import burgers, fokker_planck, hamilton_jacobi, paths

    modules = {
        "hamilton-jacobi": hamilton_jacobi,
        "heat": hamilton_jacobi,
        "burgers": burgers,
        "fokker-planck": fokker_planck,
        "paths": paths,
    }
    return {
        verb: {name: getattr(module, name) for name in module.__all__ if _is_scheme(getattr(module, name))}
        for verb, module in modules.items()
    }


def _is_scheme(thing):
    return isfunction(thing) and [*signature(thing).parameters][:3] in (
        ["problem", "grid", "values"],
        ["sde", "x", "t"],
    )


def scheme(equation, name):
    """The scheme of that name; None for None; ValueError with the names there are."""
    known = scheme_table()[equation]
    if name not in (None, *known):
        raise ValueError(f"unknown scheme {name!r} for {equation}: choose from {', '.join(known)}")
    return known.get(name)
