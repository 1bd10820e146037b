"""Gate reports: means by price, and what counts as collapse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from price_fusion.evaluation.gate import FEWEST_ROWS, gate_collapse, gate_report
from price_fusion.metrics.price_metrics import metrics_by_price
from support.prices import GROUPS


def test_means_overall_and_by_bin() -> None:
    weights = np.array([[0.5, 0.5], [0.7, 0.3], [0.1, 0.9]], np.float32)
    report = gate_report(weights, np.array([3.0, 4.99, 5.0]), GROUPS)
    assert report["experts"] == 2
    assert report["rows"] == 3
    assert report["mean_weights"] == pytest.approx([1.3 / 3, 1.7 / 3])
    assert [(part["bin"], part["rows"]) for part in report["by_price"]] == [("0 to 5", 2), ("5 to 10", 1)]
    assert report["by_price"][0]["mean_weights"] == pytest.approx([0.6, 0.4])
    assert gate_collapse(report) == []
    assert json.loads(json.dumps(report)) == report


def test_bins_are_those_of_the_metrics() -> None:
    price = np.geomspace(0.1, 3_000, 500)
    bins = metrics_by_price(price, price, GROUPS).query("grouping == 'bin'")
    report = gate_report(np.full((500, 3), 1 / 3), price, GROUPS)
    assert [(part["bin"], part["rows"]) for part in report["by_price"]] == list(
        zip(bins["group"], bins["rows"], strict=True)
    )


def test_a_model_without_a_gate_has_no_experts() -> None:
    report = gate_report(np.empty((4, 0), np.float32), np.ones(4), GROUPS)
    assert report == {"experts": 0, "rows": 4, "currency": "USD", "mean_weights": [], "by_price": []}
    assert gate_collapse(report) == []


def test_an_idle_expert_is_named() -> None:
    report = gate_report(np.tile([0.005, 0.495, 0.5], (30, 1)), np.full(30, 8.0), GROUPS)
    (problem,) = gate_collapse(report)
    assert problem.startswith("expert 1 of 3 is idle")
    assert "0.0050" in problem


def test_a_bin_that_one_expert_decides_is_named() -> None:
    weights = np.array([[0.995, 0.005]] * 20 + [[0.2, 0.8]] * 20)
    (problem,) = gate_collapse(gate_report(weights, np.repeat([120.0, 8.0], 20), GROUPS))
    assert "expert 1 of 2" in problem
    assert "all the say on prices of 100 to 200 USD" in problem


def test_a_bin_of_few_products_says_nothing() -> None:
    few = FEWEST_ROWS - 1
    weights = np.array([[0.995, 0.005]] * few + [[0.2, 0.8]] * 20)
    assert gate_collapse(gate_report(weights, np.repeat([120.0, 8.0], [few, 20]), GROUPS)) == []
