"""The page of all models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from price_fusion.command_options import CommandOptions
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.report.comparison_figures import smape_by_price
from price_fusion.report.model_page import DEFINITIONS
from price_fusion.report.page import COMMAND, Headline, Section, Table, render

HEADLINES = 4


def comparison_page(
    leaderboard: pd.DataFrame,
    figure: go.Figure,
    curve_figure: go.Figure,
    verdict: Sequence[str],
    price: NDArray[np.floating],
    predicted: Mapping[str, NDArray[np.floating]],
    groups: PriceGroups,
    pages: Sequence[str],
    options: CommandOptions,
) -> str:
    """The page as HTML.

    Args:
        leaderboard: as ``compare`` gives it.
        figure: as ``leaderboard_figure`` draws it.
        curve_figure: as ``label_curve_figure`` draws it.
        verdict: what it says to do, in sentences.
        price: (N,) true prices of the evaluated rows, in currency units.
        predicted: (N,) prices by model.
        groups: whose bins to take.
        pages: models that have a page of their own, in a folder of their name beside this page.
        options: that its commands need.
    """
    best = leaderboard.iloc[0]
    ordered = {model: predicted[model] for model in leaderboard["model"]}
    sections = [
        Section(
            "Leaderboard",
            text=_said(verdict),
            warnings=[] if best["split"] == "holdout" else ["the split has no holdout, so these are validation rows."],
            figures=[figure],
            tables=[_against_ridges(leaderboard)],
        ),
        Section("By price", figures=[smape_by_price(price, ordered, groups)]),
        Section("By number of labelled products", figures=[curve_figure]),
        Section("One by one", links=[(f"Report of {name}", f"{name}/report.html") for name in pages]),
        DEFINITIONS,
    ]
    headlines = [
        Headline(row["model"], f"{row['smape']:.2f} %", f"SMAPE [{row['smape_low']:.2f}, {row['smape_high']:.2f}]")
        for row in leaderboard.head(HEADLINES).to_dict(orient="records")
    ]
    subtitle = f"Measured on {best['rows']:,} {best['split']} products, the same for all"
    return render("Which model is best?", subtitle, groups.currency, headlines, sections, options)


def _against_ridges(leaderboard: pd.DataFrame) -> Table:
    """Each variant beside a linear model of the same sources."""
    names = ["model", "sources", "own_ridge", "behind_ridge", "behind_ridge_low", "behind_ridge_high"]
    variants = leaderboard.dropna(subset="own_ridge")
    return Table(
        caption="Each variant against a ridge of the same sources",
        columns=["model", "sources", "its ridge", "behind it, points of SMAPE", "from", "to"],
        rows=variants[names].astype(object).to_numpy().tolist(),
        note="Differences are product by product, with bootstrap 95 % intervals; below 0 the variant is better.",
    )


def _said(verdict: Sequence[str]) -> list[str]:
    """The sentences of a verdict; one that ends with a command has no full stop, so that it can be copied."""
    return [f"{one[0].upper()}{one[1:]}{'' if COMMAND in one else '.'}" for one in verdict]
