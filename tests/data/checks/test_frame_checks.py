"""Tables between stages: what cannot be one is refused with all its faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.checks.frame_checks import (
    check_sample_table,
    check_split_table,
    refuse_other_products,
    refuse_other_rows,
)
from price_fusion.errors import AlignmentError, ComparisonError, DataError


def samples(**columns: Any) -> pd.DataFrame:
    whole = {
        "sample_id": [11, 12, 13, 14],
        "place": [2, 0, 1, 3],
        "price": [1.5, 2.0, 1e6, 0.01],
        "group_key": [0, 1, 1, 2],
    }
    return pd.DataFrame(whole | columns)


def split(**columns: Any) -> pd.DataFrame:
    whole = {
        "sample_id": [11, 12, 13, 14],
        "split": ["train", "validation", "holdout", "train"],
        "fold": [0, 1, -1, -1],
        "tuned_on": [False, False, False, True],
    }
    return pd.DataFrame(whole | columns)


def test_whole_tables_pass() -> None:
    check_sample_table(samples(), "samples.parquet")
    check_sample_table(samples().drop(columns="price"), "samples.parquet")
    check_sample_table(samples(sample_id=["a", "b", "c", "d"]), "samples.parquet")
    check_split_table(split(), "split.parquet")
    refuse_other_products(samples(), split())


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("sample_id", [11, 12, 11, 14], "1 repeat an earlier one (11)"),
        ("sample_id", ["a", None, "c", "d"], "1 missing"),
        ("sample_id", [0.5, 1.5, 2.5, 3.5], "found float64, expected whole numbers or texts"),
        ("price", [1, 0, 3, -4], "price: 2 of 4 rows (id 12: 0, id 14: -4), expected positive"),
        ("price", [1, np.nan, 3, np.inf], "price: 2 of 4 rows (id 12: nan, id 14: inf)"),
        ("price", ["1", "cheap", "3", "4"], "price: 1 of 4 rows (id 12: 'cheap')"),
    ],
)
def test_each_fault_of_a_sample_table_is_named(column: str, values: list[Any], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        check_sample_table(samples(**{column: values}), "samples.parquet")
    message = str(caught.value)
    assert message.startswith("samples.parquet: cannot be used: ")
    assert expected in message
    assert message.endswith("Run the pipeline 'ingest' again.")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("split", ["train", "test", "holdout", "train"], "split: 1 of 4 rows (id 12: 'test'), expected one of train,"),
        ("split", ["train", None, "holdout", "train"], "split: 1 of 4 rows (id 12: "),
        ("fold", [0, -2, -1, -1], "fold: 1 of 4 rows (id 12: -2)"),
        ("fold", [0, 1, 1, -1], "fold: 1 of 4 rows (id 13: 1), expected -1, as holdout rows are in no fold"),
        ("sample_id", [11, 12, 14, 14], "1 repeat an earlier one (14)"),
    ],
)
def test_each_fault_of_a_split_table_is_named(column: str, values: list[Any], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        check_split_table(split(**{column: values}), "split.parquet")
    assert expected in str(caught.value)
    assert str(caught.value).endswith("Run the pipeline 'split' again.")


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(DataError) as caught:
        check_sample_table(samples(sample_id=[1, 1, 2, 3], price=[0, 1, 1, 1]), "s.parquet")
    assert len(caught.value.problems) == 2
    assert all(problem.startswith("s.parquet: ") for problem in caught.value.problems)
    with pytest.raises(DataError) as caught:
        check_split_table(split().drop(columns=["fold", "tuned_on"]).assign(split="none"), "s.parquet")
    assert "(1) lacks the column(s) fold, tuned_on; found sample_id, split; (2) split: 4 of 4 rows" in str(caught.value)


def test_tables_without_their_columns_are_refused() -> None:
    for check in (check_sample_table, check_split_table):
        with pytest.raises(DataError, match="lacks the column"):
            check(pd.DataFrame({"other": [1]}), "s.parquet")


@given(st.permutations([11, 12, 13, 14]), st.integers(1, 4))
def test_another_order_or_length_is_refused(ids: list[int], length: int) -> None:
    other = split(sample_id=ids).iloc[:length]
    if ids == [11, 12, 13, 14] and length == 4:
        refuse_other_products(samples(), other)
        return
    with pytest.raises(
        AlignmentError, match=rf"table \(4 products\) and the split table \({length}\).*Run 'split' again"
    ):
        refuse_other_products(samples(), other)


def test_an_evaluation_of_other_rows_is_refused() -> None:
    reported = samples()
    refuse_other_rows(reported.astype({"sample_id": str}), reported)  # a file of numbers may give texts
    for results in (reported.iloc[:3], reported.iloc[::-1]):
        with pytest.raises(
            ComparisonError, match=rf"of {len(results)} products, the split reports 4, .*evaluate_<variant>"
        ):
            refuse_other_rows(results, reported)
