"""The figures of one model. Prices in currency units, SMAPE in percent (0 to 200); N evaluated products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from price_fusion.data.money import rounded
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.report.described import BLUE, COLOURS, GREY, VERMILLION, described, empty, error_bars

DENSITY_BINS = 60
"""Of true and of predicted prices, each."""
DENSITY_COLOURS = ((0.0, "#5B6FB5"), (0.5, "#1F9E89"), (1.0, "#FDE725"))
"""From few to many products: the lowest is told from a dark page as well as from a white one."""
RESIDUAL_BINS = 80
RESIDUAL_BOUND = 2.5
"""Log2 of predicted over true beyond which products are counted in the outermost bins: about six times the price."""
FEWEST_ROWS = 10
"""Products of a bin whose SMAPE a text mentions, or whose share inside intervals is drawn."""
DECILES = 10
PART_ROWS = 5
"""Products in a tenth at least; fewer products are drawn in fewer parts."""
FEW_COUNTS = 6
"""Up to which an axis of whole numbers has a tick at each."""
WIDE_AXIS = 2.5
"""Decades."""


def learning_curves(history: Sequence[Mapping[str, Any]], kept_epoch: int) -> go.Figure:
    """Loss, validation SMAPE and learning rate by epoch; one epoch has no curve.

    Args:
        history: one record per epoch.
        kept_epoch: whose weights the checkpoint holds.
    """
    title = "Learning curves"
    table = pd.DataFrame(history)
    if len(table) == 1:
        return empty(title, "The model was trained for one epoch.")
    epochs = table["epoch"]
    has_smape = "smape" in table
    rows = ["loss (train rows)", *(["SMAPE, % (validation rows)"] if has_smape else []), "learning rate"]
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    columns = ["loss", *(["smape"] if has_smape else []), "learning_rate"]
    for place, (column, name) in enumerate(zip(columns, rows, strict=True), start=1):
        line = go.Scatter(x=epochs, y=table[column], name=name, mode="lines+markers", marker={"size": 4})
        figure.add_trace(line, row=place, col=1)
        figure.update_yaxes(title_text=name.replace(" (", "<br>("), title_font_size=11, row=place, col=1)
    figure.add_vline(x=kept_epoch, line_dash="dot", line_color=GREY)
    figure.update_yaxes(tickformat="~g", row=len(rows), col=1)
    figure.update_xaxes(title_text="epoch", row=len(rows), col=1)
    figure.update_xaxes(_whole_ticks(len(table)))
    figure.update_layout(showlegend=False)
    found = f"The loss goes from {table['loss'].iloc[0]:.3f} to {table['loss'].iloc[-1]:.3f} in {len(table)} epochs"
    if has_smape:
        best = table.iloc[int(table["smape"].argmin())]
        found += f"; validation SMAPE is lowest in epoch {best['epoch']:.0f}, at {best['smape']:.2f} %"
    return described(
        figure,
        title=title,
        caption=f"Dotted: epoch {kept_epoch}, whose weights were kept. A validation SMAPE that rises while the loss still falls "
        "says that the model is overfitting.",
        alt=found + ".",
        table={
            "epoch": epochs.tolist(),
            **{name: table[column].tolist() for column, name in zip(columns, rows, strict=True)},
        },
        height=460,
    )


def true_against_predicted(price: NDArray[np.floating], predicted: NDArray[np.floating], currency: str) -> go.Figure:
    """Counts of products by true and predicted price, both on log axes; the diagonal is a right price.

    Args:
        price: (N,) true prices.
        predicted: (N,) predicted ones.
        currency: of the prices.
    """
    logs = np.log10(np.column_stack([price, predicted]))
    edges = np.linspace(np.floor(logs.min() * 4) / 4, np.ceil(logs.max() * 4) / 4 + 1e-9, DENSITY_BINS + 1)
    counts = np.histogram2d(logs[:, 0], logs[:, 1], bins=(edges, edges))[0].T
    middle = 10 ** ((edges[1:] + edges[:-1]) / 2)
    figure = go.Figure(
        go.Heatmap(
            x=middle,
            y=middle,
            z=np.where(counts > 0, np.log10(np.maximum(counts, 1)), np.nan).astype(np.float32),
            customdata=counts.astype(np.int32),
            colorscale=DENSITY_COLOURS,
            colorbar=_count_scale(int(counts.max())),
            hovertemplate=f"true about %{{x:,.3r}} {currency}<br>predicted about %{{y:,.3r}} {currency}<br>"
            "%{customdata} products<extra></extra>",
        )
    )
    ends = [10 ** edges[0], 10 ** edges[-1]]
    for factor, dash in ((1, "solid"), (2, "dot"), (0.5, "dot")):
        style = {"color": VERMILLION, "width": 1.5, "dash": dash}
        figure.add_trace(
            go.Scatter(x=ends, y=[end * factor for end in ends], mode="lines", line=style, hoverinfo="skip")
        )
    figure.update_xaxes(_log_axis(*ends), title_text=f"true price, {currency}", range=[edges[0], edges[-1]])
    figure.update_yaxes(_log_axis(*ends), title_text=f"predicted price, {currency}", range=[edges[0], edges[-1]])
    figure.update_layout(showlegend=False)
    ratio = np.log2(predicted / price)
    within = {factor: 100 * float(np.mean(np.abs(ratio) <= np.log2(factor))) for factor in (1.25, 1.5, 2, 4)}
    return described(
        figure,
        title="True and predicted prices",
        caption="Solid line: perfect prediction. Dotted: twice and half the true price. A cloud flatter than "
        "the diagonal: predictions are too high for cheap products and too low for expensive ones.",
        alt=f"Of {len(price):,} products {within[1.25]:.0f} % are predicted within a factor of 1.25 of the true price, "
        f"{within[2]:.0f} % within a factor of 2.",
        table={"within a factor of": list(within), "products, %": [round(share, 1) for share in within.values()]},
        height=480,
    )


def errors_by_price(metrics: pd.DataFrame, groups: PriceGroups) -> go.Figure:
    """SMAPE and bias by bin of the true price, with counts.

    Args:
        metrics: as ``metrics_by_price`` gives it.
        groups: of that table.
    """
    currency = groups.currency
    bins = metrics[(metrics["grouping"] == "bin") & (metrics["rows"] > 0)]
    bias = 100 * (bins["mean_predicted"] / bins["mean_true"] - 1)
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.4, 0.35, 0.25])
    parts = ((bins["smape"], "SMAPE, %", BLUE), (bias, "bias, %", VERMILLION), (bins["rows"], "products", GREY))
    for place, (values, name, colour) in enumerate(parts, start=1):
        figure.add_trace(go.Bar(x=bins["group"], y=values, name=name, marker_color=colour), row=place, col=1)
        figure.update_yaxes(title_text=name, row=place, col=1)
    figure.update_xaxes(title_text=f"true price, {currency}", type="category", row=3, col=1)
    figure.update_yaxes(_whole_ticks(int(bins["rows"].max())), row=3, col=1)
    figure.update_layout(showlegend=False)
    return described(
        figure,
        title="SMAPE and bias by price",
        caption="Bias: mean predicted over mean true price, less 100 %. Every model predicts the cheapest products too high and the "
        "most expensive too low, as it cannot know which of equal-looking products are extreme; models differ in how much.",
        alt=_worst_bin(bins, currency),
        table=price_table(metrics, groups),
        height=520,
    )


def _worst_bin(bins: pd.DataFrame, currency: str) -> str:
    large = bins[bins["rows"] >= FEWEST_ROWS]
    if large.empty:
        return f"No bin has {FEWEST_ROWS} products: the SMAPE of each is that of a few, and says little."
    worst = large.iloc[int(large["smape"].argmax())]
    return (
        f"Of bins with {FEWEST_ROWS} or more products, SMAPE is highest for {worst['group']} {currency}: {worst['smape']:.1f} % of "
        f"{worst['rows']} products."
    )


def price_table(metrics: pd.DataFrame, groups: PriceGroups) -> dict[str, Sequence[Any]]:
    """``metrics_by_price`` as a reader wants it: with bias, bins first, then ranges."""
    held, currency = metrics[metrics["rows"] > 0], groups.currency
    difference = held["mean_predicted"] - held["mean_true"]
    lows = {name: f"{name} (from {low:,.10g})" for name, low in groups.ranges.items()}
    return {
        f"true price, {currency}": held["group"].replace(lows).tolist(),
        "products": held["rows"].tolist(),
        "SMAPE, %": held["smape"].round(2).tolist(),
        f"mean true, {currency}": held["mean_true"].map(rounded).tolist(),
        f"mean predicted, {currency}": held["mean_predicted"].map(rounded).tolist(),
        f"bias, {currency}": difference.map(rounded).tolist(),
        "bias, %": (100 * difference / held["mean_true"]).round(1).tolist(),
        f"MAE, {currency}": held["mae"].map(rounded).tolist(),
    }


def residuals(price: NDArray[np.floating], predicted: NDArray[np.floating], groups: PriceGroups) -> go.Figure:
    """Distribution of predicted over true price, overall and by range of the true price.

    Args:
        price: (N,) true prices.
        predicted: (N,) predicted ones.
        groups: whose ranges to take.
    """
    ratio = predicted / price
    ranges = groups.ranges_of(price)
    parts = {"all": np.ones(len(price), bool)} | {name: ranges == place for place, name in enumerate(groups.ranges)}
    held = {name: inside for name, inside in parts.items() if inside.any()}
    quantiles = {name: np.percentile(ratio[inside], [5, 25, 50, 75, 95]) for name, inside in held.items()}
    low, first, middle, third, high = np.array(list(quantiles.values())).T
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.45, 0.55])
    edges = np.linspace(-RESIDUAL_BOUND, RESIDUAL_BOUND, RESIDUAL_BINS + 1)
    edges_of_axis = 2.0 ** edges[[0, -1]]
    counts = np.histogram(np.clip(np.log2(ratio), edges[0], edges[-1]), bins=edges)[0]
    steps = go.Scatter(x=2 ** ((edges[1:] + edges[:-1]) / 2), y=counts, mode="lines", line_shape="hvh", fill="tozeroy")
    figure.add_trace(steps, row=1, col=1)
    box = go.Box(
        y=list(quantiles),
        lowerfence=low,
        q1=first,
        median=middle,
        q3=third,
        upperfence=high,
        orientation="h",
        marker_color=VERMILLION,
    )
    figure.add_trace(box, row=2, col=1)
    figure.add_vline(x=1, line_dash="dot", line_color=GREY)
    bounds = (min(edges_of_axis[0], low.min() * 0.95), max(edges_of_axis[1], high.max() * 1.05))
    figure.update_xaxes(_log_axis(*bounds), range=np.log10(bounds))
    figure.update_xaxes(title_text="predicted price / true price", row=2, col=1)
    figure.update_yaxes(_whole_ticks(int(counts.max())), title_text="products", row=1, col=1)
    figure.update_yaxes(autorange="reversed", row=2, col=1)
    figure.update_layout(showlegend=False)
    return described(
        figure,
        title="How far predictions are off",
        caption="On a log axis: twice too much is as far from 1 as half of it. Above: all products; the outermost bins also "
        f"count those that are off by more than a factor of {edges_of_axis[1]:.1f}. Below, by range of the true "
        "price: median, the middle half (box) and the middle 90 % (line). "
        f"{_ranges_in_words(groups)}",
        alt=f"The median of predicted over true price is {middle[0]:.2f}; half of the products lie between {first[0]:.2f} and "
        f"{third[0]:.2f}, 90 % between {low[0]:.2f} and {high[0]:.2f}.",
        table={
            "range of true price": list(held),
            "products": [int(inside.sum()) for inside in held.values()],
            "median ratio": middle.round(3).tolist(),
            "5 % below": low.round(3).tolist(),
            "25 % below": first.round(3).tolist(),
            "75 % below": third.round(3).tolist(),
            "95 % below": high.round(3).tolist(),
        },
        height=480,
    )


def _ranges_in_words(groups: PriceGroups) -> str:
    """Where each range of prices but the last ends."""
    names, ends = list(groups.ranges), list(groups.ranges.values())[1:]
    said = ", ".join(f"{name}: under {end:,.10g}" for name, end in zip(names, ends, strict=False))
    return f"{said[:1].upper()}{said[1:]} {groups.currency}." if said else ""


def calibration(
    price: NDArray[np.floating], predicted: NDArray[np.floating], coverage: pd.DataFrame, currency: str
) -> go.Figure:
    """Whether prices are right on average, and whether intervals hold as many products as they promise.

    Args:
        price: (N,) true prices.
        predicted: (N,) predicted ones.
        coverage: as ``coverage_table`` gives it; empty for a model without intervals.
        currency: of the prices.
    """
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(DECILES, max(1, len(price) // PART_ROWS)))
    means = [(float(np.median(predicted[part])), float(np.median(price[part]))) for part in parts]
    asked, got = zip(*means, strict=True)
    bins = coverage[(coverage["group"] != "all") & (coverage["rows"] > 0)]
    is_large = bins["rows"] >= FEWEST_ROWS
    are_tenths = len(parts) == DECILES
    part = "tenth" if are_tenths else "part"
    figure = make_subplots(rows=2 if is_large.any() else 1, cols=1, vertical_spacing=0.22)
    figure.add_trace(go.Scatter(x=asked, y=got, mode="lines+markers", name=f"{part}s of the products"), row=1, col=1)
    ends = [min(*asked, *got), max(*asked, *got)]
    line = {"color": GREY, "dash": "dot"}
    figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False), row=1, col=1)
    shares = bins.assign(coverage=bins["coverage"].where(is_large))  # a gap in the line where products are few
    for place, (level, own) in enumerate(shares.groupby("level") if is_large.any() else ()):
        colour = COLOURS[1 + place % 3]
        named = {"name": f"{level:g} % interval", "marker_color": colour, "mode": "lines+markers"}
        figure.add_trace(go.Scatter(x=own["group"], y=own["coverage"], **named), row=2, col=1)
        figure.add_hline(y=level, line_dash="dot", line_color=colour, row=2, col=1)
    figure.update_xaxes(_log_axis(*ends), title_text=f"predicted price, median of a {part}, {currency}", row=1, col=1)
    figure.update_yaxes(_log_axis(*ends), title_text=f"true price, median, {currency}", row=1, col=1)
    if is_large.any():
        figure.update_xaxes(title_text=f"predicted price, {currency}", type="category", row=2, col=1)
        figure.update_yaxes(title_text="inside the interval, %", row=2, col=1)
    overall = coverage[coverage["group"] == "all"]
    lowest = (
        "the tenth of the products with the lowest predictions, the next tenth, and so on"
        if are_tenths
        else f"the {len(price)} products in {len(parts)} part{'s' * (len(parts) > 1)} by their predictions, the lowest first"
    )
    tenths = f"{lowest}; points on the dotted line are right on average."
    held = (
        "how many true prices the intervals hold, by predicted price, in bins with "
        f"{FEWEST_ROWS} or more products; dotted is what they promise."
    )
    said = "; ".join(f"{row.coverage:.1f} % lie inside the {row.level:g} % interval" for row in overall.itertuples())
    return described(
        figure,
        title="Calibration",
        caption=f"Above: {tenths} Below: {held}" if is_large.any() else f"{tenths[0].upper()}{tenths[1:]}",
        alt=f"Of all products {said}." if said else "The model has no intervals.",
        table={
            "interval, %": coverage["level"].tolist(),
            f"predicted price, {currency}": coverage["group"].tolist(),
            "products": coverage["rows"].tolist(),
            "inside, %": coverage["coverage"].round(1).tolist(),
            f"mean width, {currency}": coverage["mean_width"].map(rounded).tolist(),
        }
        if said
        else {
            f"predicted price, median, {currency}": [rounded(one) for one in asked],
            f"true price, median, {currency}": [rounded(one) for one in got],
            "products": [len(part) for part in parts],
        },
        height=620 if is_large.any() else 340,
    )


def gate_by_price(report: Mapping[str, Any]) -> go.Figure:
    """How a gate divides its weight among experts, by true price.

    Args:
        report: as ``gate_report`` gives it.
    """
    title = "Gate weights by price"
    if not report["experts"]:
        return empty(title, "This model has no gate.")
    bins, currency = [part["bin"] for part in report["by_price"]], report["currency"]
    weights = np.array([part["mean_weights"] for part in report["by_price"]])
    names = [f"expert {number}" for number in range(1, report["experts"] + 1)]
    figure = go.Figure(
        [
            go.Bar(x=bins, y=100 * weights[:, place], name=name, marker_color=COLOURS[place % len(COLOURS)])
            for place, name in enumerate(names)
        ]
    )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text=f"true price, {currency}", type="category")
    figure.update_yaxes(title_text="mean gate weight, %")
    means = ", ".join(
        f"{name} {100 * weight:.0f} %" for name, weight in zip(names, report["mean_weights"], strict=True)
    )
    return described(
        figure,
        title=title,
        caption="Experts that specialise have other shares for cheap than for expensive products. Equal shares everywhere: the experts "
        "are an average. One that takes all: the gate has collapsed.",
        alt=f"Mean weights: {means}.",
        table={
            f"true price, {currency}": bins,
            "products": [part["rows"] for part in report["by_price"]],
            **{f"{name}, %": (100 * weights[:, place]).round(1).tolist() for place, name in enumerate(names)},
        },
    )


def importance(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """What each source is worth.

    Args:
        tables: as ``permutation_importance`` and ``retraining_importance`` give them, by what was done to the source.
    """
    figure = go.Figure()
    frames, skipped = [], []
    for (how, table), colour in zip(tables.items(), COLOURS, strict=False):
        is_known = table["importance_points"].notna()
        skipped += [f"{part} ({how})" for part in table.loc[~is_known, "part"]]
        known = table[is_known].iloc[::-1]
        points = known["importance_points"]
        spread = error_bars(known["importance_points_high"] - points, points - known["importance_points_low"])
        figure.add_trace(
            go.Bar(x=points, y=known["part"], orientation="h", name=how, marker_color=colour, error_x=spread)
        )
        frames.append(known.iloc[::-1].assign(how=how))
    rows = pd.concat(frames)
    figure.update_xaxes(title_text="rise of SMAPE without it, points")
    best = rows.iloc[int(rows["importance_points"].argmax())]
    return described(
        figure,
        title="Which sources matter",
        caption="Permuted: the trained model sees another product's values. Left out: trained again without it. A source that costs "
        "nothing when it is left out need not be computed. Bars with bootstrap 95 % intervals."
        + (f" Not measured: {', '.join(skipped)}; the CSV file says why." if skipped else ""),
        alt=f"Most is lost without {best['part']}: {best['importance_points']:.1f} points of SMAPE ({best['how']}).",
        table={
            "source, column or group": rows["part"].tolist(),
            "how": rows["how"].tolist(),
            **{
                heading: rows[f"importance_points{end}"].round(2).tolist()
                for heading, end in (("points", ""), ("from", "_low"), ("to", "_high"))
            },
        },
        height=200 + 26 * len(rows),
    )


def _whole_ticks(highest: int) -> dict[str, Any]:
    """A tick at each number of few: plotly would put some at halves of products and epochs."""
    return {"tick0": 0, "dtick": 1} if highest <= FEW_COUNTS else {}


def _log_axis(low: float, high: float) -> dict[str, Any]:
    """A log axis with ticks at 1, 2 and 5 of each decade, written out; at more within one decade, at 1 alone of many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    width = math.log10(high / low)
    steps = (1, 1.5, 2, 3, 4, 5, 7) if width < 1 else (1, 2, 5) if width < WIDE_AXIS else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def _count_scale(highest: int) -> dict[str, Any]:
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000) if tick <= highest]
    return {"title": {"text": "products"}, "tickvals": np.log10(ticks), "ticktext": [f"{tick:,}" for tick in ticks]}
