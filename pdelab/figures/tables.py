"""The papers' tables, drawn from races: one row a problem, one column an algorithm, "mean ± deviation @ epochs".

The number after @ is the effective epoch from which on the mean validation curve stays within a tenth of its end. No
figure of its own.
"""

import numpy as np

from pdelab.figures.races import seeds_of, slug

UNFINISHED = 10.0  # per cent


def cells(data):
    """(row names, column names, texts of the cells); perplexities where the race was one of losses."""
    rows = [str(panel) for panel in data["panels"]]
    columns = list(dict.fromkeys(str(name) for row in rows for name in data[f"{slug(row)}_names"]))
    return rows, columns, [[_cell(data, row, column) for column in columns] for row in rows]


def _cell(data, row, column):
    key = f"{slug(row)}_{slug(column)}"
    if f"{key}_mean" not in data:
        return "–"
    mean, deviation = data[f"{key}_mean"], data[f"{key}_sd"]
    if data[f"{slug(row)}_metric"] == "loss":
        mean = np.exp(mean)
        deviation *= mean
    mark = "†" if unfinished(data, key, row) else ""
    return f"{mean:.2f} ± {deviation:.2f} @ {data[f'{key}_reached']}{mark}"


def unfinished(data, key, row):
    """Whether a classifier still errs on more than a tenth of its training images at the end of its budget."""
    return data[f"{slug(row)}_metric"] == "error" and data[f"{key}_train_error"] > UNFINISHED


def draw_table(data, note="test error (%) ± deviation of the seeds @ effective epochs"):
    """The table as a picture, the least mean of every row in bold."""
    from pdelab.plotting import subplots

    rows, columns, texts = cells(data)
    figure, ax = subplots(1, 1, size=(min(8.0, 2.2 + 1.75 * len(columns)), 1.3 + 0.36 * len(rows)))
    ax.axis("off")
    table = ax.table([[row, *text] for row, text in zip(rows, texts)], colLabels=["", *columns],
                     cellLoc="left", colLoc="left", edges="horizontal", bbox=(0, 0, 1, 1),
                     colWidths=[1.25, *[1.0] * len(columns)])  # fmt: skip
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    for place, row in enumerate(rows, start=1):
        means = [data.get(f"{slug(row)}_{slug(column)}_mean", np.inf) for column in columns]
        table[place, 1 + int(np.argmin(means))].get_text().set_weight("bold")
    dagger = f"; † unfinished: training error above {UNFINISHED:g} %" if "†" in str(texts) else ""
    counts = sorted({seeds_of(data, row) for row in rows})
    ax.set_title(f"{note}; {' or '.join(map(str, counts))} seeds{dagger}", fontsize=9)
    return figure
