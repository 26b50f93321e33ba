"""`pdelab figure`, `verify`, `reproduce`: the pictures and the ledger."""

import argparse
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from pdelab import checks, records
from pdelab.cli import page
from pdelab.cli.shared import note, progress, say_compiling
from pdelab.cli.workers import compile_first, cores, decide_claim, draw_figure, workers

__all__ = ["add_figure", "add_reproduce", "add_verify", "verify_all"]

QUICK_FOLDER = Path("build/quick")  # git ignores it: quick numbers are no evidence
CHANGED_FOLDER = Path("build/changed")  # nor are those of changed parameters
_RUNS = "folder of finished training runs: the same ones are read from it, others are trained and added"
ROW = "{:<8} {:<10} {:<8} {:>12} {:>12} {:>10}  {}"


def add_figure(verbs):
    """The verb `figure`."""
    parser = verbs.add_parser("figure", help="compute, check and draw one figure", add_help=False)
    words = "show this message; after a name, e.g. 4.1 --help, with the parameters of that figure"
    parser.add_argument("-h", "--help", action=_Parameters, help=words)
    parser.add_argument("name", help="its name, e.g. 4.1 (`pdelab list figures`)")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the files (default: figures, with --quick build/quick, with --set build/changed)",
    )
    parser.add_argument("--quick", action="store_true", help="a coarser version in seconds")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="key=value", help="change parameters")
    parser.add_argument("--redraw", action="store_true", help="draw from the numbers stored in the folder, no run")
    parser.add_argument("--device", help="where a figure with that parameter computes, e.g. cuda: --set device=cuda")
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help=_RUNS)
    parser.add_argument(
        "--keep-rows",
        action="store_true",
        help="of a figure that compares algorithms train only the rows that the folder's result does not have",
    )
    parser.add_argument("--json", action="store_true", help="print the record instead of a table")
    parser.set_defaults(run=_run_figure)


class _Parameters(argparse.Action):
    """Help that ends with the parameters of the figure named before it."""

    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        parser.print_help()
        if name := getattr(namespace, "name", None):
            from pdelab import figures

            try:
                module = figures.find(name)
            except ValueError as error:
                parser.error(str(error))
            print(f"\nparameters of figure {name}, {module.TITLE}:")
            print("\n".join(f"  {line}" for line in figures.described(module)))
            print(f"\nfor example: pdelab figure {name} --quick --set {figures.example(module)}")
        parser.exit()


def _run_figure(arguments):
    from pdelab import figures

    module = figures.find(arguments.name)
    if missing := figures.missing_extra(module):
        raise ValueError(f"figure {arguments.name} needs pdelab[{missing}]: pip install 'pdelab[{missing}]'")
    if arguments.device:
        arguments.set = [*arguments.set, f"device={arguments.device}"]
    if arguments.redraw and arguments.set:
        raise ValueError("--redraw draws stored numbers: leave --set and --device out, and name their folder by --out")
    figures.parameters(module, quick=arguments.quick, changes=arguments.set)
    folder = CHANGED_FOLDER if arguments.set else QUICK_FOLDER if arguments.quick else Path("figures")
    folder = records.output_folder(arguments.out or folder)
    note(f"figure {arguments.name}: {module.TITLE}")
    if arguments.redraw:
        result, picture = figures.redraw(arguments.name, folder)
    else:
        say_compiling()
        result, picture = figures.run(
            arguments.name, folder, quick=arguments.quick, changes=arguments.set, runs=arguments.runs,
            keep_rows=arguments.keep_rows,
        )  # fmt: skip
    if not (arguments.quick or arguments.set) and (folder / "README.md").is_file():
        page.write_gallery(folder)
    if arguments.json:
        print(records.dumps(result.record))
    else:
        _print_checks(result)
        print(picture)
    return 0 if result.holds else 1


def _print_checks(result):
    good, bad = ("info", "info") if result.changed else ("ok  ", "FAIL")
    if result.changed:
        print("  parameters were changed: the bands are those of the figure's own, for comparison")
    for check in result.checks:
        low = "-inf" if check.low is None else f"{check.low:.6g}"
        high = "inf" if check.high is None else f"{check.high:.6g}"
        state, side = (good, "in") if check.holds else (bad, "outside")
        print(f"  {state} {check.name:<40} {check.value:<12.6g} {side} [{low}, {high}]")


def add_verify(verbs):
    """The verb `verify`."""
    parser = verbs.add_parser("verify", help="the ledger: every claim, its source, expected, measured, verdict")
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims to check (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller samples and grids")
    parser.add_argument("--perturbed", action="store_true", help="also what each claim rejects, piece by piece")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_verify)


def _run_verify(arguments):
    if arguments.perturbed:
        return _run_perturbed(arguments)
    say_compiling()
    verdicts, _ = verify_all(arguments.ids, quick=arguments.quick, show=not arguments.json)
    if arguments.json:
        print(records.dumps([verdict.as_dict() for verdict in verdicts]))
    return 0 if _summary(verdicts) else 1


def _run_perturbed(arguments):
    """One line a wrong version: the pieces of evidence that reject it. Fails where a version or a piece is not."""
    from pdelab import claims

    bad = []
    for row in claims.find(arguments.ids):
        verdicts = claims.challenge(row, quick=arguments.quick)
        if any(verdict.skipped for verdict in verdicts) or not verdicts:
            continue
        for words, verdict in zip(row.perturbations, verdicts):
            pieces = [str(k) for k, piece in enumerate(verdict.evidence, start=1) if not piece.holds]
            said = f"rejected by {', '.join(pieces)} of {len(verdict.evidence)}" if pieces else "ACCEPTED"
            print(f"{row.id:<8} {said:<24} {words}", flush=True)
        if claims.unshaken(verdicts) or any(verdict.holds for verdict in verdicts):
            bad.append(row.id)
    if bad:
        note(f"not every version and piece is rejected: {' '.join(bad)}")
    return 1 if bad else 0


def verify_all(ids=(), *, quick=False, show=True, each=None, versions=False):
    """(verdicts, records) of claims in the ledger's order, printed as they come, with progress on stderr.

    each : what `workers` gives, by default in this process; versions : whether the wrong versions are measured, too
    """
    from pdelab import claims

    rows = {row.id: row for row in claims.find(ids)}
    decided = {}
    if show:
        print(ROW.format("claim", "printed", "verdict", "expected", "measured", "tolerance", "statement"))
    items = [(id, quick, versions) for id in rows]
    with progress(len(rows), "claims") as bar, nullcontext() if each else workers(1) as own:
        for (id, *_), (verdict, record) in (each or own)(decide_claim, items):
            verdict = replace(verdict, claim=rows[id])
            decided[id] = verdict, record
            bar.set_postfix_str(id)
            if show:
                with bar.external_write_mode(sys.stdout):
                    _print_verdict(verdict)
            bar.update()
    return [decided[id][0] for id in rows], [decided[id][1] for id in rows]


def _print_verdict(verdict):
    row = verdict.claim
    word = "skipped" if verdict.holds is None else "holds" if verdict.holds else "FAILS"
    first = verdict.evidence[0] if verdict.evidence else None
    shown = [_number(getattr(first, name)) if first else "" for name in ("expected", "measured", "tolerance")]
    text = row.statement + (f" ({verdict.skipped})" if verdict.skipped else "")
    print(ROW.format(row.id, row.as_printed, word, *shown, text), flush=True)


def _number(value):
    import numpy as np

    flat = np.ravel(value)
    return f"{float(flat[0]):.5g}" + (f" (+{flat.size - 1})" if flat.size > 1 else "")


def _summary(verdicts):
    holds = sum(v.holds is True for v in verdicts)
    failed = [v.claim.id for v in verdicts if v.holds is False]
    skipped = len(verdicts) - holds - len(failed)
    seconds = sum(v.seconds for v in verdicts)
    note(f"{holds} claims hold, {len(failed)} failed, {skipped} not run, {seconds:.1f} s")
    if failed:
        note(f"failed: {' '.join(failed)}")
    return not failed


def add_reproduce(verbs):
    """The verb `reproduce`."""
    parser = verbs.add_parser("reproduce", help="the main job: all figures and the whole ledger")
    parser.add_argument("--out", type=Path, help="folder for the files (default: figures, with --quick build/quick)")
    parser.add_argument("--quick", action="store_true", help="coarser figures, smaller samples: a few minutes")
    parser.add_argument("--networks", action="store_true", help="also the figures of the torch side")
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help=_RUNS)
    parser.add_argument("--redraw", action="store_true", help="draw from the numbers stored in the folder, no runs")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: as many as there are cores)")
    parser.set_defaults(run=_run_reproduce)


def _run_reproduce(arguments):
    start = time.perf_counter()
    if arguments.redraw and arguments.quick:
        raise ValueError("--redraw needs the numbers of full runs: leave --quick out")
    folder = records.output_folder(arguments.out or (QUICK_FOLDER if arguments.quick else Path("figures")))
    with workers(checks.whole("jobs", arguments.jobs)) as each:
        compile_first(each)
        pictures, failed, skipped = _reproduce_figures(arguments, folder, each)
        drawn = time.perf_counter() - start
        verdicts, ledger = verify_all(quick=arguments.quick, each=each, versions=not arguments.quick)
    good = _summary(verdicts)
    wrong = [record["id"] for record in ledger if any(version["holds"] for version in record.get("rejected", ()))]
    records.save_json(folder / "claims.json", ledger)
    if not arguments.quick and good and not wrong:
        _refresh_errata(folder)
    _write_pages(folder, ledger, skipped, quick=arguments.quick)
    seconds = time.perf_counter() - start
    print(f"{len(pictures)} pictures in {folder.resolve()}, the ledger in {folder / 'claims.json'}")
    print(f"all of it on one page: {(folder / 'index.html').resolve()}")
    note(f"{seconds:.0f} s in all: figures {drawn:.0f} s, claims {seconds - drawn:.0f} s, {arguments.jobs} processes")
    if failed:
        note(f"checks that failed: {' '.join(failed)}")
    if wrong:
        note(f"claims that accept what they must reject: {' '.join(wrong)}")
    return 0 if good and not failed and not wrong else 1


def _reproduce_figures(arguments, folder, each):
    """(pictures, names of the checks that failed, {figure that was skipped: why})."""
    from pdelab import figures

    pictures, failed, skipped, items = [], [], {}, []
    for name, module in figures.gallery().items():
        if hasattr(module, "NEEDS") and not arguments.networks:
            skipped[name] = "of the torch side, drawn with --networks"
        elif missing := figures.missing_extra(module):
            skipped[name] = f"needs pdelab[{missing}]"
            print(f"figure {name:<24} skipped: {skipped[name]}", flush=True)
        else:
            items.append((name, folder, arguments.quick, arguments.redraw, arguments.runs))
    with progress(len(items), "figures") as bar:
        for (name, *_), (bad, count, picture, _) in each(draw_figure, items):
            bar.set_postfix_str(name)
            pictures.append(picture)
            failed += [f"{name}:{check}" for check in bad]
            with bar.external_write_mode(sys.stdout):
                print(f"figure {name:<24} {'FAIL' if bad else 'ok':<4} {count} checks  {picture}", flush=True)
            bar.update()
    return pictures, failed, skipped


def _write_pages(folder, ledger, skipped, *, quick):
    """index.html, and of full runs README.md."""
    page.index(folder, ledger, skipped)
    if not quick:
        page.write_gallery(folder)


def _refresh_errata(folder):
    """Write the errata page again where one stands beside the folder."""
    from pdelab.claims import errata

    target = folder.resolve().parent / "ERRATA.md"
    if target.is_file() and target.read_text(encoding="utf-8").startswith(errata.HEAD):
        errata.write(target, errata.load(folder / "claims.json"))
        print(f"the errata page is {target}")
