"""The pages that a reproduction ends with: `index.html`, which needs no network, and `figures/README.md`."""

from html import escape

from pdelab import records

__all__ = ["entries", "gallery", "index", "write_gallery"]

STYLE = """body{font:16px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}
figure{margin:0 0 3rem}img{max-width:100%}figcaption{white-space:pre-line}
table{border-collapse:collapse;font-size:.85rem}
td,th{padding:.1rem .7rem .1rem 0;text-align:left;vertical-align:top}
.no{font-weight:bold;color:#862d88}code{background:#eee}"""
COMMAND = "pdelab figure {}"


def entries(folder):
    """[(name, module, record or None)] of all figures, the record as it stands in the folder."""
    from pdelab import figures

    for name, module in figures.gallery().items():
        path = folder / f"{figures.stem_of(name)}.json"
        yield name, module, _record(path) if path.is_file() else None


def _record(path):
    record = records.load_json(path)
    if not isinstance(record, dict) or not {"title", "caption", "checks", "command"} <= set(record):
        raise ValueError(f"the result {path} is damaged: expected the record of a figure")
    return record


def index(folder, verdicts, skipped):
    """Write folder/index.html: pictures, captions, checks, claims, and what was skipped with its command.

    Parameters
    ----------
    folder : Path
    verdicts : list of dict, the records of the claims
    skipped : {name of a figure: why}

    Returns
    -------
    Path
    """
    parts = [f"<h1>pdelab: figures and claims</h1><p>{escape(_said(verdicts))} "
             '<a href="#claims">The claims</a>, <a href="#skipped">what was skipped</a>.</p>']  # fmt: skip
    parts += [_figure(name, record) for name, _, record in entries(folder) if record and name not in skipped]
    parts.append(f'<h2 id="claims">Claims</h2>{_claims(verdicts)}')
    parts.append(f'<h2 id="skipped">Skipped</h2>{_skipped(skipped, verdicts)}')
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>pdelab</title><style>{STYLE}</style>'
    path = folder / "index.html"
    with records.atomic(path) as temporary:
        temporary.write_text(text + "\n".join(parts) + "</html>\n", encoding="utf-8")
    return path


def _said(verdicts):
    holds = [row["holds"] for row in verdicts]
    return f"{holds.count(True)} claims hold, {holds.count(False)} fail, {holds.count(None)} were not run."


def _figure(name, record):
    from pdelab import figures

    rows = "".join(
        f'<tr><td class="{"" if check["holds"] else "no"}">{"ok" if check["holds"] else "FAIL"}</td>'
        f"<td>{escape(check['name'])}</td><td>{_number(check['value'])}</td>"
        f"<td>{_number(check['low'])} … {_number(check['high'])}</td></tr>"
        for check in record["checks"]
    )
    title, stem = escape(record["title"]), figures.stem_of(name)
    return (
        f'<figure id="{escape(stem)}"><h2>{escape(name)}: {title}</h2><img src="{stem}.png" alt="{title}">'
        f"<figcaption>{escape(record['caption'])}\n<code>{escape(record['command'])}</code></figcaption>"
        f"<table><tr><th></th><th>check</th><th>value</th><th>must lie in</th></tr>{rows}</table></figure>"
    )


def _number(value):
    return "" if value is None else f"{value:.6g}" if isinstance(value, (int, float)) else escape(str(value))


def _claims(verdicts):
    rows = []
    for row in verdicts:
        word = {True: "holds", False: "FAILS", None: "not run"}[row["holds"]]
        kind = "no" if row["holds"] is False else ""
        rows.append(
            f'<tr><td>{escape(row["id"])}</td><td class="{kind}">{word}</td><td>{escape(row["as_printed"])}</td>'
            f"<td>{escape(row['source'])}</td><td>{escape(row['statement'])}</td></tr>"
        )
    head = "<tr><th>claim</th><th></th><th>as printed</th><th>source</th><th>statement</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _skipped(skipped, verdicts):
    lines = [f"<li>{escape(name)}: {escape(why)}; <code>{COMMAND.format(escape(name))}</code></li>"
             for name, why in skipped.items()]  # fmt: skip
    lines += [f"<li>{escape(row['id'])}: {escape(row['skipped'])}; "
              f"<code>pdelab verify {escape(row['id'])}</code></li>"
              for row in verdicts if row.get("skipped")]  # fmt: skip
    return f"<ul>{''.join(lines)}</ul>" if lines else "<p>nothing</p>"


def gallery(folder):
    """The text of a folder's README.md: every figure with its message, its checks and the command that draws it."""
    from pdelab import figures

    lines = [
        "# Figures", "", "Written by `pdelab reproduce`; do not edit. A picture NAME.png (and NAME.svg) stands beside"
        " its numbers, NAME.npz, and its record, NAME.json: caption, parameters, checks, versions, command.", "",
        "| figure | it says | checks | again |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, module, record in entries(folder):
        if record:
            good = sum(check["holds"] for check in record["checks"])
            verdict = f"{good} of {len(record['checks'])} hold"
            again = COMMAND.format(name) + (" (extra `networks`)" if hasattr(module, "NEEDS") else "")
            again = again.replace(COMMAND.format(name), f"`{COMMAND.format(name)}`")
            title = record["title"].replace("|", "\\|")
            lines.append(f"| [{name}]({figures.stem_of(name)}.png) | {title} | {verdict} | {again} |")
    return "\n".join(lines) + "\n"


def write_gallery(folder):
    """Write a folder's README.md; returns its path."""
    path = folder / "README.md"
    with records.atomic(path) as temporary:
        temporary.write_text(gallery(folder), encoding="utf-8")
    return path
