"""Figures show the numbers that they are given, and say them in words and in a table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest

from price_fusion.evaluation.gate import gate_report
from price_fusion.metrics.price_metrics import metrics_by_price
from price_fusion.report import figures
from price_fusion.report.comparison_figures import label_curve_figure, leaderboard_figure, smape_by_price
from price_fusion.report.described import is_empty
from price_fusion.selection.comparison import BEHIND_RIDGE
from support.prices import GROUPS

HISTORY = [
    {"epoch": 1, "loss": 0.9, "smape": 70.0, "learning_rate": 1e-3, "seconds": 1.0},
    {"epoch": 2, "loss": 0.5, "smape": 55.25, "learning_rate": 1e-4, "seconds": 1.0},
    {"epoch": 3, "loss": 0.4, "smape": 60.0, "learning_rate": 1e-5, "seconds": 1.0},
]


def table_of(figure: go.Figure) -> pd.DataFrame:
    """The numbers that a figure carries, after a journey through the catalog's JSON."""
    meta = plotly.io.from_json(figure.to_json()).layout.meta
    return pd.DataFrame(meta["rows"], columns=meta["columns"])


def test_learning_curves_name_the_best_epoch_and_mark_the_kept_one() -> None:
    figure = figures.learning_curves(HISTORY, kept_epoch=3)
    assert "lowest in epoch 2, at 55.25 %" in figure.layout.meta["alt"]
    assert {shape.x0 for shape in figure.layout.shapes} == {3}
    assert table_of(figure)["loss (train rows)"].tolist() == [0.9, 0.5, 0.4]


def test_learning_curves_do_without_validation() -> None:
    figure = figures.learning_curves([{k: v for k, v in one.items() if k != "smape"} for one in HISTORY], 3)
    assert "SMAPE" not in figure.layout.meta["alt"]
    assert len(figure.data) == 2


def test_one_epoch_has_no_curve() -> None:
    assert is_empty(figures.learning_curves(HISTORY[:1], kept_epoch=1))


def test_of_few_products_no_bin_is_called_the_worst_and_there_are_no_tenths(
    results: pd.DataFrame, coverage: pd.DataFrame
) -> None:
    price, predicted = (results[name].to_numpy()[:12] for name in ("price", "predicted"))
    figure = figures.errors_by_price(metrics_by_price(predicted, price, GROUPS), GROUPS)
    assert figure.layout.meta["alt"].startswith("No bin has 10 products")
    figure = figures.calibration(price, predicted, coverage.iloc[:0], "USD")
    assert figure.layout.meta["caption"].startswith("The 12 products in 2 parts by their predictions")
    assert table_of(figure)["products"].tolist() == [6, 6]
    few = coverage.assign(rows=coverage["rows"].clip(upper=9))
    figure = figures.calibration(price, predicted, few, "USD")
    assert [line.name for line in figure.data if line.name] == ["parts of the products"]
    assert "intervals hold" not in figure.layout.meta["caption"]
    assert len(table_of(figure)) == len(few)


def test_every_product_is_in_the_density(results: pd.DataFrame) -> None:
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    figure = figures.true_against_predicted(price, predicted, "USD")
    assert np.asarray(figure.data[0].customdata).sum() == len(results)
    within = table_of(figure).set_index("within a factor of")["products, %"]
    ratio = np.maximum(price / predicted, predicted / price)
    assert within[2.0] == pytest.approx(100 * (ratio <= 2).mean(), abs=0.05)


def test_one_product_of_one_price_can_be_drawn() -> None:
    figures.true_against_predicted(np.array([5.0]), np.array([5.0]), "USD")
    figures.residuals(np.array([5.0]), np.array([5.0]), GROUPS)


def test_bias_by_price_is_mean_predicted_less_mean_true(results: pd.DataFrame) -> None:
    metrics = metrics_by_price(results["predicted"].to_numpy(), results["price"].to_numpy(), GROUPS)
    table = table_of(figures.errors_by_price(metrics, GROUPS)).set_index("true price, USD")
    inside = results[(results["price"] >= 10) & (results["price"] < 15)]
    difference = inside["predicted"].mean() - inside["price"].mean()
    assert table.loc["10 to 15", "bias, USD"] == pytest.approx(difference, abs=0.006)
    assert table.loc["10 to 15", "bias, %"] == pytest.approx(100 * difference / inside["price"].mean(), abs=0.06)
    assert table.loc["medium (from 30)", "products"] == results["price"].between(30, 100, inclusive="left").sum()


def test_residuals_give_quantiles_of_the_ratio(results: pd.DataFrame) -> None:
    figure = figures.residuals(results["price"].to_numpy(), results["predicted"].to_numpy(), GROUPS)
    row = table_of(figure).iloc[0]
    ratio = results["predicted"] / results["price"]
    assert row["median ratio"] == pytest.approx(ratio.median(), abs=0.001)
    assert row["95 % below"] == pytest.approx(np.percentile(ratio, 95), abs=0.001)
    assert sum(figure.data[0].y) == len(results)


def test_residuals_say_that_the_outermost_bins_count_all_beyond() -> None:
    figure = figures.residuals(np.array([1.0, 1.0]), np.array([50.0, 0.01]), GROUPS)
    assert figure.data[0].y[0] == figure.data[0].y[-1] == 1
    assert (
        "the outermost bins also count those that are off by more than a factor of 5.7" in figure.layout.meta["caption"]
    )


def test_calibration_says_how_many_are_inside(results: pd.DataFrame, coverage: pd.DataFrame) -> None:
    figure = figures.calibration(results["price"].to_numpy(), results["predicted"].to_numpy(), coverage, "USD")
    inside = results["price"].between(results["price_low"], results["price_high"]).mean()
    assert f"{100 * inside:.1f} % lie inside the 80 % interval" in figure.layout.meta["alt"]


def test_calibration_without_intervals(results: pd.DataFrame, coverage: pd.DataFrame) -> None:
    figure = figures.calibration(results["price"].to_numpy(), results["predicted"].to_numpy(), coverage.iloc[:0], "USD")
    assert figure.layout.meta["alt"] == "The model has no intervals."
    assert "intervals hold" not in figure.layout.meta["caption"]


def test_gate_weights_are_stacked_to_a_hundred() -> None:
    weights = np.array([[0.2, 0.8], [0.6, 0.4]])
    figure = figures.gate_by_price(gate_report(weights, np.array([3.0, 40.0]), GROUPS))
    assert np.sum([bar.y for bar in figure.data], axis=0) == pytest.approx([100, 100])
    assert "expert 1 40 %" in figure.layout.meta["alt"]


def test_a_model_without_a_gate_has_an_empty_figure() -> None:
    figure = figures.gate_by_price(gate_report(np.empty((2, 0)), np.array([3.0, 40.0]), GROUPS))
    assert is_empty(figure)
    assert is_empty(plotly.io.from_json(figure.to_json()))


def test_importance_names_the_source_that_matters_most() -> None:
    columns = {"part": ["words", "picture", "sound"], "importance_points": [2.5, 0.1, np.nan]}
    ends = {"importance_points_low": [2.0, -0.1, np.nan], "importance_points_high": [3.0, 0.3, np.nan]}
    figure = figures.importance({"permuted": pd.DataFrame(columns | ends)})
    assert "without words: 2.5 points" in figure.layout.meta["alt"]
    assert table_of(figure)["source, column or group"].tolist() == ["words", "picture"]
    assert "Not measured: sound (permuted); the CSV file says why." in figure.layout.meta["caption"]


def test_importance_is_drawn_where_nothing_was_retrained() -> None:
    permuted = pd.DataFrame({"part": ["words"], **{f"importance_points{end}": [1.0] for end in ("", "_low", "_high")}})
    retrained = permuted.assign(**dict.fromkeys((f"importance_points{end}" for end in ("", "_low", "_high")), np.nan))
    figure = figures.importance({"permuted": permuted, "left out": retrained})
    assert table_of(figure)["how"].tolist() == ["permuted"]
    assert "words (left out)" in figure.layout.meta["caption"]


def test_the_leaderboard_keeps_its_order() -> None:
    names = ("behind_best", "behind_best_low", "behind_best_high", *BEHIND_RIDGE, "mae", "rmse", "r2")
    figures_of_both = {name: [0.0, 1.0] for name in names}
    facts = {"parameters": [5, None], "seconds_per_epoch": [1.0, None], "epochs": [2, None]}
    facts |= {"sources": ["picture, words"] * 2, "own_ridge": ["ridge", None]}
    smape = {"smape": [30.98502, 60.0], "smape_low": [29.0, 59.0], "smape_high": [32.0, 61.0]}
    board = pd.DataFrame(
        {"model": ["moe", "ridge"], "split": "holdout", "rows": 9, "currency": "USD"} | smape | figures_of_both | facts
    )
    figure = leaderboard_figure(board)
    assert table_of(figure)["model"].tolist() == ["moe", "ridge"]
    assert table_of(figure)["SMAPE, %"].tolist() == [30.98502, 60.0]  # the page rounds, once
    assert json.loads(figure.to_json())["layout"]["meta"]["rows"][0][-3] == 5
    assert isinstance(figure.layout.meta["rows"][0][-3], int)
    assert json.loads(figure.to_json())["data"][0]["y"] == ["ridge", "moe"]  # plotly draws upwards


def test_models_are_compared_bin_by_bin(results: pd.DataFrame) -> None:
    price = results["price"].to_numpy()
    table = table_of(smape_by_price(price, {"right": price, "double": 2 * price}, GROUPS))
    assert (table["right, %"] == 0).all()
    assert table["double, %"].to_numpy() == pytest.approx(200 / 3, abs=0.01)
    assert table["products"].sum() == len(price)


def test_of_many_models_as_many_are_drawn_as_there_are_colours() -> None:
    price = np.array([3.0, 20.0])
    figure = smape_by_price(price, {f"m{number}": price * number for number in range(1, 8)}, GROUPS)
    assert [line.visible for line in figure.data] == [True] * 5 + ["legendonly"] * 2
    assert len({line.marker.color for line in figure.data if line.visible is True}) == 5
    assert figure.layout.meta["caption"].endswith("Drawn are the best 5; a click on a name draws or hides its line.")
    assert "m7, %" in table_of(figure)


def test_the_curve_over_labelled_products_ends_with_an_open_circle() -> None:
    sizes = [
        {"rows": rows, "fits": fits, "smape": smape, "smape_low": smape - 1, "smape_high": smape + 1}
        for rows, fits, smape in ((50, 4, 60.0), (100, 2, 58.0), (200, 1, 56.0))
    ]
    twice = {"rows": 400, "smape": 54.5, "gain": 1.5, "gain_low": 1.0, "gain_high": 2.0}
    figure = label_curve_figure({"model": "ridge", "split": "holdout", "sizes": sizes, "twice": twice})
    assert table_of(figure)["train rows"].tolist() == [50, 100, 200, 400]
    assert table_of(figure)["fits"].tolist() == [4, 2, 1, "extrapolated"]
    assert list(figure.data[1].y) == [56.0, 54.5]
    assert is_empty(label_curve_figure({"sizes": [], "twice": None}))
