"""Each benchmark runs to its end at tiny sizes. Its figures mean nothing then."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from support.measured import assert_smoke_is_reported, run


@pytest.mark.parametrize(
    ("script", "goals"),
    [
        ("peaks", 0),
        ("report_speed", 2),
        pytest.param("training_speed", 8, marks=pytest.mark.slow),
        pytest.param("scoring_speed", 4, marks=pytest.mark.slow),
        pytest.param("ingestion_speed", 5, marks=pytest.mark.slow),
        pytest.param("scale", 2, marks=pytest.mark.slow),
        pytest.param("losses", 0, marks=pytest.mark.slow),
        pytest.param("averaging", 3, marks=pytest.mark.slow),
        pytest.param("curve", 3, marks=pytest.mark.slow),
        pytest.param("accuracy", 3, marks=pytest.mark.slow),
        pytest.param("estimator_speed", 0, marks=pytest.mark.slow),
        pytest.param("final_fit", 0, marks=pytest.mark.slow),
    ],
)
def test_smoke_sizes_end_in_a_result_that_the_report_takes(script: str, goals: int, tmp_path: Path) -> None:
    assert_smoke_is_reported(script, goals, "benchmarks.md", tmp_path)


@pytest.mark.slow
def test_losses_that_were_measured_are_not_measured_again(tmp_path: Path) -> None:
    arguments = ("--smoke", "--output", str(tmp_path))
    assert "2 to go" in run("losses", *arguments, "--seeds", "1")
    assert "2 of 4 runs are in the JSON; 2 to go" in run("losses", *arguments, "--seeds", "1", "2")
    # Other epochs are another configuration.
    assert "0 of 2 runs are in the JSON" in run("losses", *arguments, "--seeds", "1", "--epochs", "2")


@pytest.mark.slow
def test_accuracy_is_of_finite_numbers_and_measured_once(tmp_path: Path) -> None:
    arguments = ("--smoke", "--output", str(tmp_path), "--models", "median", "ridge", "variants", "--outer-folds", "0")
    assert "6 to go" in run("accuracy", *arguments)
    section = json.loads((tmp_path / "accuracy.json").read_text(encoding="utf-8"))
    models, first_fold, seeds = section["tables"]
    names = {row["model"] for row in models["rows"]}
    variants = {"two_branch", "moe"}
    assert names == {"median", "ridge", *variants, *(f"{name}, mean of 2 seeds" for name in variants)}
    assert {row["model"] for row in first_fold["rows"]} == names
    assert {row["variant"] for row in seeds["rows"]} == variants
    numbers = [value for table in section["tables"] for row in table["rows"] for value in row.values()]
    assert all(math.isfinite(value) for value in numbers if isinstance(value, float))
    # Random features say nothing of random prices: who is much better than the median has seen what it prices.
    smape = {row["model"]: row["smape"] for row in models["rows"]}
    assert min(smape.values()) > smape["median"] - 5

    # Other epochs are another configuration, but not of models that have none.
    assert "2 of 6 records are there; 4 to go" in run("accuracy", *arguments, "--epochs", "2")


@pytest.mark.parametrize("script", ["losses", "accuracy"])
def test_a_benchmark_says_how_to_make_tables_that_are_not_there(script: str, tmp_path: Path) -> None:
    shown = run(script, "--data", str(tmp_path), "--output", str(tmp_path), fails=True, warm=True)
    assert "PRICE_FUSION_RAW" in shown
    assert "kedro run --env amazon_subset --pipelines ingest" in shown
    assert "Traceback" not in shown


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "no results" in run("report", "--results", str(tmp_path), "--output", str(tmp_path), fails=True, warm=True)
    assert not list(tmp_path.iterdir())
