"""The figures of models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from price_fusion.data.money import rounded
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.metrics.price_metrics import metrics_by_price
from price_fusion.report.described import BLUE, COLOURS, VERMILLION, described, empty, error_bars

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "pentagon")
"""Beside colours, which are fewer than models may be."""


def leaderboard_figure(leaderboard: pd.DataFrame) -> go.Figure:
    """SMAPE of each model with its interval, best on top.

    Args:
        leaderboard: as ``compare`` gives it.
    """
    upwards = leaderboard.iloc[::-1]
    spread = error_bars(upwards["smape_high"] - upwards["smape"], upwards["smape"] - upwards["smape_low"])
    figure = go.Figure(
        go.Scatter(
            x=upwards["smape"],
            y=upwards["model"],
            mode="markers",
            marker={"size": 10, "color": BLUE},
            error_x=spread,
        )
    )
    best = leaderboard.iloc[0]
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title_text=f"SMAPE, % ({best['rows']:,} {best['split']} rows)")
    columns = {
        "model": "model",
        "sources": "sources",
        "smape": "SMAPE, %",
        "smape_low": "from",
        "smape_high": "to",
        "behind_best": "behind the best, points",
        "behind_best_low": "behind, from",
        "behind_best_high": "behind, to",
        "own_ridge": "its ridge",
        "behind_ridge": "behind its ridge, points",
        "behind_ridge_low": "behind its ridge, from",
        "behind_ridge_high": "behind its ridge, to",
        "mae": f"MAE, {best['currency']}",
        "rmse": f"RMSE, {best['currency']}",
        "r2": "R2",
        "parameters": "parameters",
        "seconds_per_epoch": "seconds per epoch",
        "epochs": "epochs",
    }
    amounts = {name: leaderboard[name].map(rounded) for name in ("mae", "rmse")}
    counts = dict.fromkeys(("parameters", "epochs"), "Int64")  # floats, as a CSV gives columns with gaps
    shown = leaderboard[list(columns)].astype(counts).assign(**amounts).astype(object)
    shown = shown.where(shown.notna(), None).rename(columns=columns)
    return described(
        figure,
        title="Models by SMAPE",
        caption="With bootstrap 95 % intervals over groups of products. Two intervals may overlap although one model is clearly "
        "better, since both err on the same products: the 'behind' columns of the table compare models product by product. The "
        "ridge of a variant is a linear model of the same sources.",
        alt=f"{best['model']} is best with a SMAPE of {best['smape']:.2f} %.",
        table={name: shown[name].tolist() for name in columns.values()},
        height=180 + 32 * len(leaderboard),
    )


def label_curve_figure(curve: Mapping[str, Any]) -> go.Figure:
    """SMAPE over the number of rows that a model was fitted on, and what twice the rows would bring.

    Args:
        curve: as ``learning_curve`` gives it.
    """
    title = "SMAPE by number of labelled products"
    if not curve["sizes"]:
        return empty(title, "There are too few train rows to fit models on a quarter of them.")
    sizes, twice, model = curve["sizes"], curve["twice"], curve["model"]
    rows, smape = ([size[key] for size in sizes] for key in ("rows", "smape"))
    spread = error_bars(
        [size["smape_high"] - size["smape"] for size in sizes], [size["smape"] - size["smape_low"] for size in sizes]
    )
    figure = go.Figure(
        go.Scatter(x=rows, y=smape, name="measured", mode="lines+markers", marker_color=BLUE, error_y=spread)
    )
    figure.add_trace(
        go.Scatter(
            x=[rows[-1], twice["rows"]],
            y=[smape[-1], twice["smape"]],
            name="extrapolated",
            mode="lines+markers",
            marker={"color": VERMILLION, "symbol": "circle-open", "size": 9},
            line={"color": VERMILLION, "dash": "dot"},
        )
    )
    ticks = [*rows, twice["rows"]]
    figure.update_xaxes(
        title_text="train rows", type="log", tickvals=ticks, ticktext=[f"{number:,}" for number in ticks]
    )
    figure.update_yaxes(title_text=f"SMAPE of {model}, % ({curve['split']} rows)")
    return described(
        figure,
        title=title,
        caption=f"A {model} regression on a quarter, half and all of the train rows, with 95 % intervals; of a quarter and half, the "
        "mean of fits on each part. The open circle extrapolates a power law, so read it as an order of magnitude. Other models "
        "gain about as much.",
        alt=f"With twice the rows, SMAPE would be lower by about {twice['gain']:.1f} points [{twice['gain_low']:.1f}, "
        f"{twice['gain_high']:.1f}].",
        table={
            "train rows": ticks,
            "fits": [*(size["fits"] for size in sizes), "extrapolated"],
            "SMAPE, %": [round(value, 2) for value in (*smape, twice["smape"])],
            "from": [*(round(size["smape_low"], 2) for size in sizes), None],
            "to": [*(round(size["smape_high"], 2) for size in sizes), None],
        },
    )


def smape_by_price(
    price: NDArray[np.floating], predicted: Mapping[str, NDArray[np.floating]], groups: PriceGroups
) -> go.Figure:
    """SMAPE of each model by bin of the true price; of many models, the first are drawn, one in each colour.

    Args:
        price: (N,) true prices.
        predicted: (N,) prices by each model, best first.
        groups: whose bins to take.
    """
    figure = go.Figure()
    table: dict[str, list[object]] = {}
    for place, (model, prices) in enumerate(predicted.items()):
        bins = metrics_by_price(prices, price, groups).query("grouping == 'bin' and rows > 0")
        table |= {f"true price, {groups.currency}": bins["group"].tolist(), "products": bins["rows"].tolist()}
        table[f"{model}, %"] = bins["smape"].round(2).tolist()
        look = {"symbol": SYMBOLS[place % len(SYMBOLS)], "color": COLOURS[place % len(COLOURS)], "size": 8}
        figure.add_trace(
            go.Scatter(
                x=bins["group"],
                y=bins["smape"],
                name=model,
                mode="lines+markers",
                marker=look,
                line_width=1.5,
                visible=True if place < len(COLOURS) else "legendonly",
            )
        )
    figure.update_xaxes(title_text=f"true price, {groups.currency}", type="category")
    figure.update_yaxes(title_text="SMAPE, %")
    return described(
        figure,
        title="SMAPE by price",
        caption="The best model overall need not be the best at the prices of the products that you sell."
        + (
            f" Drawn are the best {len(COLOURS)}; a click on a name draws or hides its line."
            if len(predicted) > len(COLOURS)
            else ""
        ),
        alt=f"SMAPE of {len(predicted)} models in {len(table.get('products', []))} bins of the true price; the table has the numbers.",
        table=table,
        height=460,
    )
