"""No text cell of a CSV begins as a formula does; nothing else changes."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.datasets.formulas import FORMULA_STARTS, quoting_of, without_formulas

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.tuples(st.sampled_from(FORMULA_STARTS), st.text("=+-@'\t\r\n1,\" a", max_size=4)).map("".join),
)
ROWS = st.lists(st.tuples(TEXT, TEXT, st.integers(-(2**53), 2**53), st.floats(allow_nan=False)), max_size=8)


@given(ROWS, st.sampled_from(["object", "string", "category"]))
def test_written_cells_are_the_given_ones_or_these_after_an_apostrophe(
    rows: list[tuple[str, str, int, float]], dtype: str
) -> None:
    table = pd.DataFrame(rows, columns=["sample_id", "text", "count", "price"])
    table = table.astype({"sample_id": object, "text": dtype, "count": np.int64, "price": np.float64})
    before = table.copy()
    buffer = io.StringIO(newline="")
    safe = without_formulas(table)
    safe.to_csv(buffer, index=False, quoting=quoting_of(safe))
    pd.testing.assert_frame_equal(table, before)
    written = list(csv.reader(io.StringIO(buffer.getvalue(), newline="")))[1:]
    assert len(written) == len(rows)
    for (sample_id, text, count, price), cells in zip(rows, written, strict=True):
        assert cells[0] == sample_id
        assert not cells[1].startswith(FORMULA_STARTS)
        assert cells[1] == (f"'{text}" if text.startswith(FORMULA_STARTS) else text)
        assert (int(cells[2]), float(cells[3])) == (count, price)


def test_only_text_of_a_mixed_column_changes() -> None:
    mixed = [-1, "=1+1", None, "fine", np.nan, -2.5, "", "'=kept"]
    safe = without_formulas(pd.DataFrame({"mixed": pd.Series(mixed, dtype=object)}))["mixed"].tolist()
    assert safe[:4] == [-1, "'=1+1", None, "fine"]
    assert safe[5:] == [-2.5, "", "'=kept"]


def test_columns_of_the_same_name_are_each_looked_at() -> None:
    safe = without_formulas(pd.DataFrame([["=a", "b"], ["c", "@d"]], columns=["same", "same"]))
    assert safe.to_numpy().tolist() == [["'=a", "b"], ["c", "'@d"]]


@pytest.mark.parametrize(
    "column", [[-1, 2], [-0.5, np.nan], [True, False], pd.to_datetime(["2025-01-01", None]), ["fine", None]]
)
def test_a_table_without_formulas_is_given_back_as_it_is(column: object) -> None:
    table = pd.DataFrame({"column": column, "sample_id": ["=1", "-2"]})
    assert without_formulas(table) is table
