"""The figures of models side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from price_fusion.data.money import rounded
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.metrics.price_metrics import metrics_by_price
from price_fusion.report.described import BLUE, COLOURS, described

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "pentagon")
"""Beside colours, which are fewer than models may be."""


def leaderboard_figure(leaderboard: pd.DataFrame) -> go.Figure:
    """SMAPE of each model with its interval, best on top.

    Args:
        leaderboard: as ``compare`` gives it.
    """
    upwards = leaderboard.iloc[::-1]
    spread = {
        "type": "data",
        "symmetric": False,
        "array": upwards["smape_high"] - upwards["smape"],
        "arrayminus": upwards["smape"] - upwards["smape_low"],
    }
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
    shown = leaderboard[list(columns)].round(3).assign(**amounts).astype(object)
    shown = shown.where(shown.notna(), None).rename(columns=columns)
    return described(
        figure,
        title="Models by SMAPE",
        caption="With bootstrap 95 % intervals over groups of products. Intervals of two models overlap more than the models "
        "differ, as both are wrong about the same products: the columns 'behind' of the table compare them product by product. "
        "The ridge of a variant is a linear model of the same sources.",
        alt=f"{best['model']} is best with a SMAPE of {best['smape']:.2f} %.",
        table={name: shown[name].tolist() for name in columns.values()},
        height=180 + 32 * len(leaderboard),
    )


def smape_by_price(
    price: NDArray[np.floating], predicted: Mapping[str, NDArray[np.floating]], groups: PriceGroups
) -> go.Figure:
    """SMAPE of each model by bin of the true price.

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
            go.Scatter(x=bins["group"], y=bins["smape"], name=model, mode="lines+markers", marker=look, line_width=1.5)
        )
    figure.update_xaxes(title_text=f"true price, {groups.currency}", type="category")
    figure.update_yaxes(title_text="SMAPE, %")
    return described(
        figure,
        title="SMAPE by price",
        caption="Where models differ: one may be best overall and yet not for the products that you sell.",
        alt=f"SMAPE of {len(predicted)} models in {len(table.get('products', []))} bins of the true price; the table has the numbers.",
        table=table,
        height=460,
    )
