"""Mutation: one line of the package is changed at a time, and the tests that cover it should fail.

    python -m benchmarks.mutation               # every mutant of mutants.py, kept in mutation.json and MUTATION.md
    python -m benchmarks.mutation NAME ...      # these alone; the others keep their verdicts
    python -m benchmarks.mutation --list

The package and its tests are copied to a temporary folder, which is changed in place of the checkout. A mutant is
killed when a test fails (pytest's exit status 1) or when its tests do not end; any other status is an error of the
list, not a kill. Tests pass without a mutant first, or nothing is said about it.
"""

import argparse
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "mutation.json"
PAGE = ROOT / "benchmarks" / "MUTATION.md"
TIMEOUT = 900.0  # seconds after which tests are taken not to end
COPIED = "pdelab", "tests", "benchmarks", "figures", "pyproject.toml", "README.md", "ERRATA.md"


def verdict(status):
    """What an exit status of pytest says of the mutant; None is a run that did not end."""
    if status is None or status == 1:
        return "killed"
    return "survived" if status == 0 else "error"


def copy(folder):
    """The package and its tests below `folder`, times kept, so that compiled kernels stay valid."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)


def judge(mutant, folder, timeout=TIMEOUT):
    """Apply a mutant in a copy, run its tests and put the file back."""
    path = folder / "pdelab" / mutant.file
    text = path.read_text(encoding="utf-8")
    times = path.stat()
    path.write_text(mutant.applied(text), encoding="utf-8")
    try:
        # Numba does not see that a function in another file has changed: no kernel kept before may be loaded
        with tempfile.TemporaryDirectory() as kernels:
            fresh = {"NUMBA_CACHE_DIR": kernels, "PDELAB_CACHE": kernels + "/formulas"}
            return verdict(_tested(mutant.tests, folder, timeout, fresh if "kernels" in mutant.file else {}))
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _tested(tests, folder, timeout, environment):
    """pytest's exit status in `folder`, None if it did not end; what it started ends with it."""
    files, words = _split(tests)
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *files.split()]
    command += ["-k", words] if words else []
    with subprocess.Popen(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)} | environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _split(tests):
    """The files, and what follows -k."""
    files, _, words = tests.partition(" -k ")
    return files, words


def all_of(selections):
    """One selection of all the tests that several selections of the same files have."""
    files, words = zip(*map(_split, selections))
    return files[0] + (f" -k {' or '.join(f'({w})' for w in dict.fromkeys(words))}" if all(words) else "")


def run(mutants, jobs=1):
    """(name, verdict) of the mutants as they come, `jobs` copies at a time.

    Tests that fail without any change give no verdict but an error.
    """
    groups = {}
    for mutant in mutants:
        groups.setdefault(_split(mutant.tests)[0], []).append(mutant)
    shares, answers = [list(groups.values())[first::jobs] for first in range(jobs)], queue.SimpleQueue()
    with ThreadPoolExecutor(jobs) as pool:
        ends = [pool.submit(_share, share, answers.put) for share in shares]
        for _ in mutants:
            while answers.empty() and not all(end.done() for end in ends):
                time.sleep(0.1)
            if answers.empty():
                break
            yield answers.get()
        for end in ends:
            end.result()


def _share(groups, tell):
    """Tell (name, verdict) of groups of mutants whose tests are in the same files, in one copy."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy(folder)
        for group in groups:
            together = _tested(all_of(mutant.tests for mutant in group), folder, 4 * TIMEOUT, {}) == 0
            for mutant in group:
                sound = together or _tested(mutant.tests, folder, TIMEOUT, {}) == 0
                word = "equivalent" if mutant.equivalent else judge(mutant, folder) if sound else "error"
                tell((mutant.name, word))


def summary(verdicts):
    """Counts of each verdict, and the share of the killable that was killed (None without any)."""
    counts = {word: list(verdicts.values()).count(word) for word in ("killed", "survived", "equivalent", "error")}
    killable = counts["killed"] + counts["survived"]
    return counts | {"rate": counts["killed"] / killable if killable else None}


def page(mutants, verdicts, first):
    """The results as Markdown; `first` has the verdicts of the first run of each mutant."""
    counts, killable = summary(verdicts), [mutant.name for mutant in mutants if not mutant.equivalent]
    before = summary({name: first[name] for name in killable if name in first})
    lines = [
        "# Mutation\n",
        "One line changed at a time; the tests that cover it should fail. By `python -m benchmarks.mutation`.\n",
        f"{counts['killed']} killed, {counts['survived']} survived, {counts['equivalent']} equivalent, "
        f"{counts['error']} in error, {len(mutants) - len(verdicts)} not run; of the killable that were run: "
        f"{_percent(counts)}. When each was run for the first time, by the tests that were then chosen for it: "
        f"{before['killed']} killed, {before['survived']} survived, {_percent(before)}.\n",
        "| mutant | file | old | new | verdict |\n|---|---|---|---|---|",
    ]
    cell = lambda text: "`" + text.strip().replace("|", "\\|").replace("\n", " ") + "`"  # noqa: E731
    for mutant in mutants:
        word = verdicts.get(mutant.name, "not run") + (f": {mutant.equivalent}" if mutant.equivalent else "")
        lines.append(f"| {mutant.name} | {mutant.file} | {cell(mutant.old)} | {cell(mutant.new)} | {word} |")
    return "\n".join(lines) + "\n"


def _percent(counts):
    return "none measured" if counts["rate"] is None else f"{100 * counts['rate']:.1f} %"


def kept():
    """(verdicts, first verdicts) of earlier runs."""
    record = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return record.get("verdicts", {}), record.get("first", {})


def save(mutants, verdicts):
    """Keep the verdicts with those of earlier runs, and write the page anew."""
    names = {mutant.name for mutant in mutants}
    earlier, first = kept()
    judged = {name: word for name, word in verdicts.items() if word in ("killed", "survived")}
    verdicts, first = ({n: w for n, w in words.items() if n in names} for words in (earlier | verdicts, judged | first))
    result = {"summary": summary(verdicts), "first": first, "verdicts": verdicts}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(mutants, verdicts, first), encoding="utf-8")


def main(arguments=None):
    """0 if every killable mutant that was run is killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="copies at a time")
    parser.add_argument("--list", action="store_true", help="names and files alone")
    asked = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"unknown mutants: {', '.join(unknown)}; --list shows all")
    chosen = [known[name] for name in asked.names] or list(MUTANTS)
    if asked.list:
        print("\n".join(f"{mutant.name:<40}{mutant.file}" for mutant in chosen))
        return 0
    verdicts = {}
    for name, word in run(chosen, jobs=asked.jobs):
        print(f"{word:<11}{name}", flush=True)
        verdicts[name] = word
        save(MUTANTS, verdicts)
    counts = summary(verdicts)
    print(counts)
    return 1 if counts["survived"] or counts["error"] else 0


if __name__ == "__main__":
    sys.exit(main())
