"""The pages written from the repository: start, gallery, errata, benchmarks, clusters, notebooks, reference."""

import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import re
import runpy
import shutil
from importlib.util import find_spec
from pathlib import Path

import pdelab
from pdelab import explorer

ROOT = Path(__file__).parents[1]
INNER = (
    "pdelab.kernels", "pdelab.cli", "pdelab.claims.", "pdelab.figures.", "pdelab.explorer.", "pdelab.networks.checks",
    "pdelab.networks.optimizers.engines",
)  # fmt: skip
SECTIONS = {
    "Parameters", "Returns", "Raises", "Examples", "Attributes", "Notes", "References", "Yields", "Warns", "See Also",
    "Other Parameters", "Methods", "Good values",
}  # fmt: skip


def write(folder):
    """All generated pages, into a folder that is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "api").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    (folder / "pictures").mkdir()
    (folder / "beside").mkdir()
    explorer.export(folder / "beside" / "explorer-page.html")
    written = {"start": start, "gallery": gallery, "errata": errata, "benchmarks": benchmarks, "beyond": beyond}
    for name, page in written.items():
        (folder / f"{name}.md").write_text(page(folder), encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8").replace("../figures/", "../pictures/")
        (folder / "notebooks" / path.name).write_text(text, encoding="utf-8")
    for module, names in public_names().items():
        (folder / "api" / f"{module}.rst").write_text(reference(module, names), encoding="utf-8")


# pages


def between(text, first, last):
    """The part of a text after the line that holds `first` and before the one that holds `last`."""
    return text.split(first, 1)[1].split(last, 1)[0].strip("\n")


def start(folder):
    """The README's two commands and its ten lines, with what these print."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands, lines = between(readme, "## Two commands\n", "## Ten lines"), between(readme, "## Ten lines\n", "\n## ")
    commands = re.sub(r"<!--.*?-->\n", "", commands)
    code = between(lines, "```python\n", "```")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    return (
        f"# Start\n\n## Two commands\n\n{commands}\n\n## Ten lines\n\n{lines}\n\nprints\n\n"
        f"```text\n{printed.getvalue()}```\n"
    )


def beyond(folder):
    """How to run what one machine cannot, with its cost measured as the page is written."""
    here = Path(__file__).parent / "beyond"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(here / "cost.py"), run_name="__main__")
    return (here / "page.md").read_text(encoding="utf-8").replace("@printed@", printed.getvalue().rstrip())


def gallery(folder):
    """Every stored figure: its title, the picture, its caption, its command."""
    parts = ["# Gallery\n"]
    for path in sorted((ROOT / "figures").glob("*.json")):
        record, picture = json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".png")
        if "caption" not in record or not picture.is_file():
            continue
        shutil.copy(picture, folder / "pictures" / picture.name)
        parts.append(
            f"## {escaped(record['title'])}\n\n![{escaped(record['title'])}](pictures/{picture.name})\n\n"
            f"```text\n{record['caption']}\n```\n\n`pdelab figure {record['figure']}`\n"
        )
    return "\n".join(parts)


def errata(folder):
    """The claims of the ledger as tables, one for each verdict on the printed statement."""
    rows = json.loads((ROOT / "figures" / "claims.json").read_text(encoding="utf-8"))
    parts = [
        "# Claims and errata\n\n`pdelab verify ID` repeats a row. Numbers, and the wrong versions that the "
        "same computation rejects: `ERRATA.md` of the repository.\n"
    ]
    heads = {"wrong": "Wrong", "corrected": "Corrected", "new": "Not in the papers", "right": "Right as printed"}
    for kind, head in heads.items():
        chosen = [row for row in rows if row["as_printed"] == kind]
        parts.append(f"## {head} ({len(chosen)})\n")
        parts.append("| claim | source | what holds | in print | verdict |\n|---|---|---|---|---|")
        for row in chosen:
            verdict = {True: "holds", False: "fails", None: "no number"}[row["holds"]]
            cells = (row["id"], row["source"], row["statement"], row["printed"] or "", verdict)
            parts.append("| " + " | ".join(escaped(cell) for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


def benchmarks(folder):
    """The page that `pdelab bench --save` writes."""
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!http)[^)]*\)", r"\1", text)


def escaped(text):
    """Plain words in Markdown: what would be markup is shown."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", str(text)).replace("\n", " ")


# the reference


def is_public(name, is_package):
    """Packages, and the modules that stand directly in `pdelab` and in `pdelab.networks`."""
    return not name.startswith(INNER) and (is_package or name.rpartition(".")[0] in ("pdelab", "pdelab.networks"))


def public_names():
    """{module: its names in `__all__`} of the public modules that can be imported, each before its inner ones."""
    modules = [
        info.name for info in pkgutil.walk_packages(pdelab.__path__, "pdelab.") if is_public(info.name, info.ispkg)
    ]
    with_torch = find_spec("torch") is not None
    names = ["pdelab", *(name for name in modules if with_torch or not name.startswith("pdelab.networks"))]
    return {name: list(importlib.import_module(name).__all__) for name in names}


def homes(modules):
    """{id of an object: (module, name)}: the deepest-reaching package that offers it says what it is."""
    known = {}
    for module in sorted(modules, key=lambda name: (name == "pdelab", name.count("."))):
        for name in modules[module]:
            known.setdefault(id(getattr(importlib.import_module(module), name)), (module, name))
    return known


def reference(module, names):
    """The page of a module: its docstring, then every public name, described here or linked to where it is."""
    here, all_homes = importlib.import_module(module), homes(public_names())
    lines = [module, "=" * len(module), "", f".. py:module:: {module}", ""]
    text = (inspect.getdoc(here) or "").splitlines()
    legal(text)
    lines += [*text, ""]
    for name in names:
        value = getattr(here, name)
        home = all_homes[id(value)]
        if inspect.ismodule(value):
            lines += [f"* :doc:`{value.__name__}`", ""]
        elif home != (module, name) and not isinstance(value, (int, float, str, tuple, type(None))):
            lines += [f"* :py:obj:`{name} <{home[0]}.{home[1]}>`, of :doc:`{home[0]}`", ""]
        elif inspect.isclass(value):
            lines += [f".. autoclass:: {module}.{name}", "   :members:", ""]
        elif callable(value) and inspect.getdoc(value):
            lines += [f".. autofunction:: {module}.{name}", ""]
        else:
            lines += [f".. py:data:: {name}", "", "   A table or a constant.", ""]
    return "\n".join(lines)


def legal(lines):
    """Make a plain docstring legal reStructuredText, in place: symbols are escaped, indented formulas are literal."""
    lines[:] = whole_code(lines)
    plain, formula, section, before = [], False, None, ""
    for k, line in enumerate(lines):
        following = lines[k + 1] if k + 1 < len(lines) else ""
        if line.strip() in SECTIONS and set(following.strip()) == {"-"}:
            section = line.strip()
        indent = len(line) - len(line.lstrip())
        free = section is None or section in ("Notes", "References", "Good values")
        if line.strip() and indent == 0:
            plain += [""] * (formula and bool(before.strip()))
            formula = False
        if free and indent and not before.strip() and not formula:
            if not (plain and plain[-1].endswith("::")) and not any(p.rstrip().endswith("::") for p in plain[-2:]):
                plain += ["::", ""]
            formula = True
        elif free and indent and before.strip() and not formula and not before.lstrip().startswith(("*", "-", "+")):
            line = line.lstrip()
        code = formula or section == "Examples" or set(line.strip()) == {"-"} or line.lstrip().startswith(">>>")
        plain.append(line if code else symbols(line))
        before = line
    lines[:] = plain


def whole_code(lines):
    """The lines, with code that goes over a line's end brought onto one line."""
    joined = []
    for line in lines:
        if joined and joined[-1].count("`") % 2 and line.strip():
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return joined


def symbols(line):
    """A line of prose in which *, | and trailing _ are shown; code in single backquotes stays code."""
    parts = re.split(r"(``[^`]*``|`[^`]*`)", line)
    bullet = re.match(r"\s*[*+-] ", line)
    for k in range(0, len(parts), 2):
        head = bullet.group() if bullet and k == 0 else ""
        rest = re.sub(r"([\\*|`])", r"\\\1", parts[k][len(head) :])
        parts[k] = head + re.sub(r"_(?=\W|$)", r"\\_", rest)
    for k in range(1, len(parts), 2):
        parts[k] = "``" + parts[k].strip("`") + "``"
        if parts[k - 1] and (parts[k - 1][-1].isalnum() or parts[k - 1][-1] in "'\""):
            parts[k - 1] += "\\ "
        if parts[k + 1] and (parts[k + 1][0].isalnum() or parts[k + 1][0] in "'\""):
            parts[k + 1] = "\\ " + parts[k + 1]
    return "".join(parts)
