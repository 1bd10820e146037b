"""Figures of results. Colours of M. Okabe and K. Ito, *Color Universal Design*, 2008, which colour-blind readers tell apart."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

COLOURS = {"source": "#0072B2", "column": "#56B4E9", "group": "#E69F00"}
"""Of what is permuted or left out."""
WIDTH = 8.5
"""Of a figure, inches."""
ROW_HEIGHT = 0.27
"""Of a bar with the space to the next, inches."""
PANEL_HEIGHT = 0.95
"""Of a panel's title and axis, inches."""
MARGIN_HEIGHT = 0.8
"""Of the figure's title and legend, inches."""
LABEL_LENGTH = 44
"""Characters of a bar's name at most."""
REASON_LENGTH = 76
"""Characters of a reason at most."""
AXIS_TITLE = "Rise of SMAPE, points, with bootstrap 95 % interval"


def importance_figure(permutation: pd.DataFrame, retraining: pd.DataFrame) -> Figure:
    """What sources are worth: permuted on reported rows above, left out of training below.

    Args:
        permutation: as ``permutation_importance`` gives it.
        retraining: as ``retraining_importance`` gives it.
    """
    tables = (permutation, retraining)
    counts = [len(table) for table in tables]
    height = MARGIN_HEIGHT + 2 * PANEL_HEIGHT + ROW_HEIGHT * sum(counts)
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(h_pad=0.1))
    first = permutation.iloc[0]
    figure.suptitle(f"What each source is worth to {first['variant']}", fontsize=12, fontweight="bold")
    titles = (
        f"Permuted on the {first['split']}: {first['rows']:,} products, SMAPE {first['smape']:.2f} %",
        _retraining_title(retraining),
    )
    for axes, table, title in zip(figure.subplots(2, 1, height_ratios=counts), tables, titles, strict=True):
        axes.set_title(title, fontsize=10, loc="left")
        _draw_rows(axes, table)
        _draw_axis(axes, table)
    drawn = {kind for table in tables for kind in table.loc[table["importance_points"].notna(), "kind"]}
    patches = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items() if kind in drawn]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(COLOURS), fontsize=9, frameon=False)
    return figure


def _retraining_title(retraining: pd.DataFrame) -> str:
    trained = retraining[retraining["importance_points"].notna()]
    if trained.empty:
        return "Retrained without it: none"
    first = trained.iloc[0]
    return f"Retrained without it: {int(first['rows']):,} products out of fold, SMAPE {first['smape']:.2f} %"


def _draw_rows(axes: Axes, table: pd.DataFrame) -> None:
    """A bar a row, the first on top, its number in the right margin; what was skipped says why instead."""
    across = axes.get_yaxis_transform()
    for place, row in enumerate(table.to_dict(orient="records")):
        value, low, high = (float(row[f"importance_points{end}"]) for end in ("", "_low", "_high"))
        if pd.isna(value):
            reason = _shortened(f"skipped: {row['skipped']}", REASON_LENGTH)
            style = {"fontsize": 8, "color": "0.35", "bbox": {"color": "white", "pad": 1}}
            axes.text(0.01, place, reason, transform=across, va="center", **style)
            continue
        axes.barh(place, value, height=0.7, color=COLOURS[row["kind"]])
        axes.hlines(place, low, high, color="black", linewidth=1)
        axes.plot([low, high], [place, place], "|", color="black", markersize=6)
        number = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "\N{MINUS SIGN}")
        axes.text(1.015, place, number, transform=across, va="center", fontsize=8)


def _draw_axis(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_yticks(range(len(table)), [_shortened(str(name), LABEL_LENGTH) for name in table["part"]], fontsize=9)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if table["importance_points"].isna().all():
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
        return
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.grid(axis="x", color="0.9")
    axes.set_xlabel(AXIS_TITLE, fontsize=9)


def _shortened(text: str, length: int) -> str:
    """The text, or its two ends within a length."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
