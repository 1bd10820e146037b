"""What leaks do to SMAPE."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from price_fusion.errors import ComparisonError
from price_fusion.selection.leaks.effect import leak_effect

HELD_OUT = 200
SPLIT_TABLE = pd.DataFrame({"split": ["train"] * 50 + ["holdout"] * HELD_OUT})
SAMPLES = pd.DataFrame({"sample_id": np.arange(250), "group_key": np.arange(250) // 2})


def overlapping(
    ids: list[int], kind: str = "near embedding", of: str = "holdout", among: str = "train"
) -> pd.DataFrame:
    row = {"kind": kind, "source": "words", "of": of, "among": among}
    return pd.DataFrame([row | {"sample_id": str(one), "counterpart": "1"} for one in ids], columns=[*row, "sample_id"])


def results(smape: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": np.arange(50, 250), "smape": smape})


def test_leaving_out_products_that_leak_raises_smape_by_what_they_lower_it() -> None:
    smape = np.full(HELD_OUT, 60.0) + np.random.default_rng(1).normal(size=HELD_OUT)
    smape[:40] -= 50
    effect = leak_effect(results(smape), overlapping(list(range(50, 90))), SAMPLES, SPLIT_TABLE, resamples=500)
    found = effect["by_kind"]["near embedding words"]
    assert effect["smape"] == pytest.approx(smape.mean())
    assert (found["products"], found["smape"]) == (40, pytest.approx(smape[:40].mean()))
    assert found["raised_points"] == pytest.approx(smape[40:].mean() - smape.mean())
    assert 5 < found["raised_points_low"] < found["raised_points"] < found["raised_points_high"] < 15
    assert effect["by_kind"]["any"] == found


def test_products_that_leak_to_no_row_that_was_learnt_from_do_not_count() -> None:
    rows = pd.concat([overlapping([60], of="test", among="labelled"), overlapping([2], of="validation")])
    effect = leak_effect(results(np.arange(200.0)), rows, SAMPLES, SPLIT_TABLE, resamples=100)
    assert effect["by_kind"]["any"]["products"] == 0
    assert effect["by_kind"]["any"]["raised_points"] is None


def test_of_few_products_there_is_no_interval() -> None:
    effect = leak_effect(results(np.arange(200.0)), overlapping([50, 51]), SAMPLES, SPLIT_TABLE, resamples=100)
    found = effect["by_kind"]["any"]
    assert (found["smape"], found["smape_of_others"]) == (0.5, 100.5)
    assert found["raised_points_low"] is None


def test_where_all_products_leak_there_is_nothing_to_compare_with() -> None:
    effect = leak_effect(
        results(np.arange(200.0)), overlapping(list(range(50, 250))), SAMPLES, SPLIT_TABLE, resamples=100
    )
    assert effect["by_kind"]["any"]["smape_of_others"] is None


def test_results_of_another_split_are_refused() -> None:
    other = results(np.arange(200.0)).iloc[::-1]
    with pytest.raises(ComparisonError, match="the split has changed since the evaluation"):
        leak_effect(other, overlapping([50]), SAMPLES, SPLIT_TABLE, resamples=100)
