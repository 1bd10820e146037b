"""Values that no model can use are all found, and named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.checks import values
from price_fusion.data.checks.values import refuse_unusable, unusable_rows
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.errors import DataError

BAD = {"<f2": [np.nan, np.inf, -np.inf], "<f4": [np.nan, -np.inf], ">f8": [np.nan, np.inf, 1e39, -1e300]}


def raw(vectors: np.ndarray) -> RawEmbeddings:
    return RawEmbeddings(np.arange(len(vectors), dtype=np.int64) * 10, vectors, "words.npy")


@given(data=st.data(), rows=st.integers(1, 30), width=st.integers(1, 5), stored=st.sampled_from(sorted(BAD)))
def test_exactly_the_planted_rows_are_found(data: st.DataObject, rows: int, width: int, stored: str) -> None:
    planted = data.draw(st.dictionaries(st.integers(0, rows - 1), st.sampled_from(BAD[stored]), max_size=rows))
    vectors = np.random.default_rng(rows).normal(size=(rows, width)).astype(stored)
    vectors[0, 0] = 60_000
    for row, value in planted.items():
        vectors[row, row % width] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "BLOCK_ROWS", 7)
        np.testing.assert_array_equal(unusable_rows(vectors), sorted(planted))


def test_all_rows_are_counted_and_the_first_named() -> None:
    vectors = np.zeros((values.BLOCK_ROWS * 2, 3), np.float32)
    wrong = [4, 9, 10, 11, 12, values.BLOCK_ROWS + 1, values.BLOCK_ROWS * 2 - 1]
    vectors[wrong, 2] = np.inf
    with pytest.raises(DataError) as caught:
        refuse_unusable(raw(vectors))
    message = str(caught.value)
    assert message.startswith("words.npy: row 4 (id 40), column 2: found inf, expected a finite number")
    assert "7 of 4,096 rows hold such values, ids 40, 90, 100, 110, 120, ...;" in message.replace(". Remove", ";")


def test_one_row_is_named_without_a_list() -> None:
    with pytest.raises(DataError, match=r"row 1 \(id 10\), column 0: found nan, expected .* float32\. Remove"):
        refuse_unusable(raw(np.array([[1.0], [np.nan]], np.float16)))


def test_the_ends_of_float32_can_be_used() -> None:
    limit = float(np.finfo(np.float32).max)
    refuse_unusable(raw(np.array([[limit, -limit]])))
