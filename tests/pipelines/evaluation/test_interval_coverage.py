"""Coverage of intervals, as evaluation measures it."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from price_fusion.parameters import IntervalParameters
from price_fusion.pipelines.evaluation.nodes import measure_intervals, summarise
from price_fusion.runs.summary import RunSummary
from support.prices import SAVED


def results(split: str = "holdout") -> pd.DataFrame:
    """Four products: the first level holds two prices, the second three."""
    frame = pd.DataFrame({"split": split, "tuned_on": False, "price": [1.0, 2, 3, 40], "predicted": [2.0, 2, 2, 2]})
    return frame.assign(
        sample_id=[1, 2, 3, 4], absolute_error=1.0, smape=[66.0, 0.0, 40.0, 180.0],
        price_low=1.5, price_high=3.5, price_low_90=0.5, price_high_90=4.5,
    )  # fmt: skip


def test_counts_prices_inside() -> None:
    table, summary = measure_intervals(results(), IntervalParameters(), SAVED)
    overall = table[table["group"] == "all"].set_index("level")
    assert overall["coverage"].to_dict() == {80.0: 50.0, 90.0: 75.0}
    assert overall["mean_width"].to_dict() == {80.0: 2.0, 90.0: 4.0}
    assert summary["split"] == "holdout"
    assert {level: found["coverage"] for level, found in summary["levels"].items()} == {"80": 50.0, "90": 75.0}
    json.dumps(summary)


def test_a_model_without_intervals_has_an_empty_table_and_no_summary() -> None:
    table, summary = measure_intervals(results().drop(columns="price_high_90"), IntervalParameters(), SAVED)
    assert table.empty
    assert list(table) == list(measure_intervals(results(), IntervalParameters(), SAVED)[0])
    assert summary == {}


@pytest.mark.parametrize("split", ["holdout", "validation"])
def test_figures_of_validation_rows_are_warned_of(split: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        metrics, _, _ = summarise(results(split), SAVED)
    assert metrics["split"] == split
    assert ("there is no holdout" in caplog.text) == (split == "validation")


def test_no_product_is_among_the_best_and_the_worst() -> None:
    _, _, extremes = summarise(results(), SAVED)
    assert extremes.groupby("extreme")["sample_id"].apply(list).to_dict() == {"best": [2, 3], "worst": [4, 1]}


def printed(**outputs: object) -> str:
    """What a run that gave these outputs prints."""
    summary, console = RunSummary(), Console(width=200, record=True, quiet=False, file=None, force_terminal=False)
    for name, data in outputs.items():
        summary.add(name.replace("__", "."), data)
    with console.capture() as capture:
        summary.print(console)
    return " ".join(capture.get().split())


def test_summary_prints_intervals_with_their_split() -> None:
    _, found = measure_intervals(results(), IntervalParameters(), SAVED)
    text = printed(moe__interval_summary=found)
    assert "Price intervals" in text
    assert "moe │ holdout │ 80 │ 50.0 │ 2.00" in text
    far = {
        "split": "validation",
        "currency": "EUR",
        "levels": {"80": found["levels"]["80"] | {"largest_deviation": -3.21, "bin": "5 to 10"}},
    }
    assert "validation │ 80 │ 50.0 │ 2.00 │ -3.2 points, 5 to 10 EUR" in printed(moe__interval_summary=far)
    assert "Price intervals" not in printed(moe__interval_summary={})


def test_summary_prints_members_and_leaves_out_what_is_missing() -> None:
    members = pd.DataFrame(
        {
            "member": ["ridge", "moe", "ensemble"],
            "kind": ["ridge", "network", "greedy"],
            "weight": [1.0, 0.0, 1.0],
            "models": [5, 0, 5],
            "seconds": [3.4, 100.0, 103.4],
            "out_of_fold_smape": [47.123, 60.0, 47.2],
            "smape": [45.6, np.nan, 45.6],
        }
    )
    text = printed(ensemble__members=members)
    assert "ridge │ 1.000 │ 5 │ 3 │ 47.12 │ 45.60" in text
    assert "moe │ 0.000 │ 0 │ 100 │ 60.00 │ │" in text
    assert "ensemble │ 1.000 │ 5 │ 103 │ 47.20 │ 45.60" in text


def test_summary_prints_out_of_fold_metrics_as_such() -> None:
    metrics = {
        "split": "out of fold",
        "rows": 1_234,
        "currency": "USD",
        "smape": 50.0,
        "mae": 1.0,
        "rmse": 2.0,
        "r2": 0.5,
    }
    assert "moe │ out of fold │ 1,234 │ 50.00" in printed(moe__out_of_fold_metrics=metrics)
