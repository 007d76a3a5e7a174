"""Draws fleet.svg and rate.svg in docs/internals from target/fleet.json.

pip install matplotlib; python3 benches/fleet.py
"""

import json
import pathlib

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PAGES = PROJECT / "docs" / "internals"
FIGURES = json.loads((PROJECT / "target" / "fleet.json").read_text())
QUOTA, HALF = FIGURES["quota"], FIGURES["half"]
SET, UNSET, RED = "#0b6e99", "#c2571a", "#b3261e"
COUNTINGS = {
    "Bucket": "token bucket of one second",
    "Window": "fixed window of one second",
    "Strict": "token bucket of two calls",
}

plt.rcParams.update(
    {
        "font.size": 10,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "axes.grid": True,
        "grid.color": "#dddddd",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "usher",
        "svg.fonttype": "none",
    }
)


def save(figure, name):
    figure.savefig(PAGES / name, metadata={"Date": None})
    plt.close(figure)


def sizes():
    figure, rows = plt.subplots(
        3, 3, figsize=(11, 8.4), sharex=True, sharey="row", layout="constrained"
    )
    panels = [
        ("goodput", 100, "successful calls,\n% of the quota", (0, 108)),
        ("throttled", 100, "throttled calls,\n% of all calls", (0, 30)),
        ("least", 1, "smallest worker's calls,\n1 = its fair share", (0, 1.08)),
    ]
    for axes, (key, scale, label, limits) in zip(rows, panels):
        for axis, (counting, title) in zip(axes, COUNTINGS.items()):
            for informed, colour, marker in [(True, SET, "o"), (False, UNSET, "s")]:
                of = [
                    row
                    for row in FIGURES["sizes"]
                    if row["informed"] == informed and row["counting"] == counting
                ]
                axis.plot(
                    [row["workers"] for row in of],
                    [scale * row[key] for row in of],
                    color=colour,
                    marker=marker,
                    markersize=4,
                    label="quota.processes set" if informed else "unset",
                )
            axis.set_xscale("log", base=2)
            ticks = [1, 2, 4, 8, 16, 32, 64, 200]
            axis.set_xticks(ticks, [str(tick) for tick in ticks])
            axis.minorticks_off()
            axis.set_ylim(limits)
            if key == "goodput":
                axis.set_title(title, fontsize=10)
            if key == "least":
                axis.set_xlabel("workers")
        axes[0].set_ylabel(label)
    rows[0][0].legend(loc="lower left", fontsize=9)
    figure.suptitle("Workers that share 25 calls a second, once settled")
    save(figure, "fleet.svg")


def changes():
    figure, axis = plt.subplots(figsize=(11, 4), layout="constrained")
    (row,) = [
        row
        for row in FIGURES["changes"]
        if (row["workers"], row["informed"], row["counting"]) == (6, False, "Bucket")
    ]
    width = 5
    starts = range(0, len(row["granted"]) - width + 1, width)
    mean = lambda key: [sum(row[key][at : at + width]) / width for at in starts]
    times = [at + width / 2 for at in starts]
    axis.plot(
        [0, 200, 200, 400, 400, 1000],
        [QUOTA, QUOTA, HALF, HALF, QUOTA, QUOTA],
        color="#777777",
        linestyle="--",
        label="quota",
    )
    axis.plot(times, mean("granted"), color=SET, label="successful")
    axis.plot(times, mean("refused"), color=RED, linewidth=1, label="throttled")
    for at, what in [
        (200, f"quota drops to {HALF:.0f}"),
        (400, f"quota is {QUOTA:.0f} again"),
        (700, "2 of 6 workers end"),
    ]:
        axis.axvline(at, color="#555555", linewidth=0.8, linestyle=":")
        axis.text(at + 6, 31, what, fontsize=9, va="top")
    axis.set_ylim(0, 32)
    axis.set_xlim(0, 1000)
    axis.set_ylabel("calls a second,\nmean of 5 s")
    axis.set_xlabel("seconds")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 0.06), fontsize=9)
    save(figure, "rate.svg")


sizes()
changes()
