"""Prices and figures of products in buckets are those of products in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from price_fusion.data.buckets.scatter import frame_of
from price_fusion.errors import ComparisonError
from price_fusion.metrics.price_metrics import price_metrics
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import EngineParameters
from price_fusion.prediction.bucket_scoring import (
    evaluation_plan,
    prediction_plan,
)
from price_fusion.storage.buckets.drafts import BucketDraft, write_draft
from price_fusion.storage.buckets.ordered import OrderedRows, write_ordered_csv
from price_fusion.storage.buckets.parts import BucketPlan, Buckets
from support.buckets import COUNT, ENGINE, LEVELS, Case, make_case
from support.prices import SAVED


@pytest.fixture
def case(tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]) -> Case:
    return make_case(tmp_path, make_checkpoint)


def written(folder: Path, plan: BucketPlan, engine: EngineParameters = ENGINE) -> Buckets:
    return write_draft(str(folder), BucketDraft(plan, engine))


def rows_of(buckets: Buckets) -> pd.DataFrame:
    table = pd.concat(frame_of(buckets, bucket) for bucket in range(COUNT))
    return table.sort_values("row").reset_index(drop=True)


def test_prices_are_those_of_the_predictor(case: Case, tmp_path: Path) -> None:
    priced = rows_of(written(tmp_path / "priced", prediction_plan(case.pricing(), case.checkpoint.header.sources)))
    columns = ["sample_id", "price", "price_low", "price_high", "price_low_90", "price_high_90"]
    assert list(priced.columns) == ["sample_id", "row", *columns[1:]]
    pd.testing.assert_frame_equal(priced[columns], case.expected[columns], rtol=1e-6)


def test_several_processes_give_the_same_bytes(case: Case, tmp_path: Path) -> None:
    one = written(tmp_path / "one", prediction_plan(case.pricing(), case.checkpoint.header.sources))
    two = written(
        tmp_path / "two",
        prediction_plan(case.pricing(), case.checkpoint.header.sources),
        ENGINE.model_copy(update={"workers": 2}),
    )
    assert one.fingerprint == two.fingerprint


def test_threads_of_torch_are_given_back(case: Case) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        case.pricing()(0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_submission_is_in_the_order_of_the_products(case: Case, tmp_path: Path) -> None:
    priced = written(tmp_path / "priced", prediction_plan(case.pricing(), case.checkpoint.header.sources))
    rows = OrderedRows(priced, ("sample_id", "price"), ENGINE, tmp_path / "spill")
    write_ordered_csv(tmp_path / "test_out.csv", rows)
    table = pd.read_csv(tmp_path / "test_out.csv")
    assert list(table.columns) == ["sample_id", "price"]
    assert table["sample_id"].tolist() == case.expected["sample_id"].tolist()
    assert table["price"].to_numpy() == pytest.approx(case.expected["price"].to_numpy(), rel=1e-6)


def test_evaluation_gives_the_metrics_of_memory(case: Case, tmp_path: Path) -> None:
    from price_fusion.parameters import IntervalParameters
    from price_fusion.pipelines.buckets.nodes import merge_evaluation
    from price_fusion.pipelines.evaluation.nodes import measure_intervals, summarise

    evaluated = written(tmp_path / "evaluated", evaluation_plan(case.evaluation(), case.checkpoint.data))
    holdout = case.expected[case.expected["split"] == "holdout"]
    results = rows_of(evaluated)
    assert results["sample_id"].tolist() == holdout["sample_id"].tolist()
    metrics, by_price, extremes, coverage, summary = merge_evaluation(
        evaluated, IntervalParameters(levels=LEVELS), SAVED
    )
    expected_metrics, expected_by_price, expected_extremes = summarise(results, SAVED)
    assert metrics["smape"] == pytest.approx(price_metrics(holdout["price"], holdout["true"])["smape"], rel=1e-6)
    assert metrics.pop("by_tuning")["unseen"] == pytest.approx(expected_metrics.pop("by_tuning")["unseen"])
    assert metrics == pytest.approx(expected_metrics)
    pd.testing.assert_frame_equal(by_price, expected_by_price)
    assert extremes["sample_id"].tolist() == expected_extremes["sample_id"].tolist()
    expected_coverage, expected_summary = measure_intervals(results, IntervalParameters(levels=LEVELS), SAVED)
    exact = ["level", "group", "rows", "coverage", "mean_width"]
    pd.testing.assert_frame_equal(coverage[exact], expected_coverage[exact], check_dtype=False)
    assert summary["levels"]["80"]["coverage"] == pytest.approx(expected_summary["levels"]["80"]["coverage"])


def test_a_model_of_other_samples_is_not_evaluated(case: Case) -> None:
    with pytest.raises(ComparisonError, match="not the samples that the model was trained on"):
        evaluation_plan(case.evaluation(), {"samples": "others"})
