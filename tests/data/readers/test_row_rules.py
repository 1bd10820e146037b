"""Rows without a vector, and several rows of one product."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from price_fusion.data.checks.values import refuse_unusable
from price_fusion.data.readers.embedding_files import read_embeddings
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.row_rules import RowRules
from price_fusion.errors import AlignmentError, DataError, ParameterError

IDS = [3, 1, 2, 4]
VECTORS = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
HOLES = [None, VECTORS[1], None, VECTORS[3]]


def written(path, content):
    if isinstance(content, pa.Table):
        pq.write_table(content, path, row_group_size=1)  # the first says nothing of the width
    else:
        path.write_bytes(pickle.dumps(content))
    return path


def lists(values):
    return pa.array([value if value is None else value.tolist() for value in values], pa.list_(pa.float32()))


@pytest.mark.parametrize(
    "content",
    [
        pa.table({"sample_id": IDS, "embedding": lists(HOLES)}),
        pa.table({"sample_id": IDS, "a": [None, 3.0, None, 7.0], "b": [None, 4.0, None, 8.0]}),
        pa.table({"sample_id": IDS, "embedding": [value if value is None else value.tobytes() for value in HOLES]}),
        dict(zip(IDS, HOLES, strict=True)),
        {"embeddings": [np.nan if value is None else value for value in HOLES], "sample_ids": IDS},
        pd.DataFrame({"sample_id": IDS, "embedding": HOLES}),
    ],
)
def test_rows_that_are_null_are_refused_or_count_as_missing(tmp_path, content):
    path = written(tmp_path / "a", content)
    with pytest.raises(DataError, match=r"a: 2 of 4 rows are null \(rows 0, 2\), .*'missing: null'"):
        read_embeddings(path)
    with pytest.raises(DataError, match="2 of 4 rows are null"):
        read_embeddings(path, rules=RowRules(missing="zero"))
    for missing in ("null", "nan"):  # pandas writes NaN as null
        raw = read_embeddings(path, rules=RowRules(missing))
        assert raw.ids.tolist() == [1, 4]
        assert raw.vectors.tolist() == [[3, 4], [7, 8]]


@pytest.mark.parametrize(("missing", "value"), [("nan", np.nan), ("zero", 0)])
def test_rows_of_nothing_but_one_value_count_as_missing_if_the_catalog_says_so(missing, value):
    vectors = VECTORS.copy()
    vectors[1], vectors[2, 0] = value, value
    raw = RawEmbeddings.from_arrays(IDS, vectors, "a", rules=RowRules(missing))
    assert raw.ids.tolist() == [3, 2, 4]
    assert np.array_equal(raw.vectors, vectors[[0, 2, 3]], equal_nan=True)
    assert len(RawEmbeddings.from_arrays(IDS, vectors, "a").ids) == 4
    with pytest.raises(DataError, match=f"a: all 4 rows count as missing .missing: {missing}"):
        RawEmbeddings.from_arrays(IDS, np.full((4, 2), value, np.float32), "a", rules=RowRules(missing))


def test_a_product_may_have_a_row_with_a_vector_and_one_without():
    vectors = np.array([[0, 0], [1, 2], [3, 4]], np.float32)
    raw = RawEmbeddings.from_arrays([7, 7, 8], vectors, "a", rules=RowRules("zero"))
    assert raw.ids.tolist() == [7, 8]
    with pytest.raises(AlignmentError, match=r"7 in rows 1, 2; expected each id once.*several_rows: mean"):
        RawEmbeddings.from_arrays([7, 7, 7], np.array([[0], [1], [1]], np.float32), "a", rules=RowRules("zero"))


def test_rows_are_named_as_the_file_counts_them():
    vectors = np.array([[0, 0], [1, 2], [np.inf, 4]], np.float32)
    with pytest.raises(DataError, match=r"a: row 2 \(id 9\), column 0"):
        refuse_unusable(RawEmbeddings.from_arrays([7, 8, 9], vectors, "a", rules=RowRules("zero")))
    averaged = RawEmbeddings.from_arrays([7, 7, 9], vectors, "a", rules=RowRules(several_rows="mean"))
    with pytest.raises(DataError, match=r"a, rows averaged by id: row 1 \(id 9\), column 0"):
        refuse_unusable(averaged)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-50, 50)), min_size=1, max_size=40), st.booleans())
def test_several_rows_are_averaged(rows, as_text):
    """Against a dict of lists; whole numbers, of which sums are exact in any order."""
    ids = [str(one) if as_text else one for one, _ in rows]
    vectors = np.array([[value, 2 * value] for _, value in rows], np.float16)
    by_id: dict[object, list[int]] = {}
    for one, (_, value) in zip(ids, rows, strict=True):
        by_id.setdefault(one, []).append(value)
    raw = RawEmbeddings.from_arrays(ids, vectors, "a", rules=RowRules(several_rows="mean"))
    assert [str(one) for one in raw.ids.tolist()] == [str(one) for one in by_id]
    means = [np.float64(sum(values)) / len(values) for values in by_id.values()]
    assert (
        raw.vectors.astype(np.float32).tolist() == np.array([[mean, 2 * mean] for mean in means], np.float32).tolist()
    )
    assert raw.vectors.dtype == (np.float16 if len(by_id) == len(rows) else np.float32)


def test_more_rows_than_a_block_are_averaged_and_left_out():
    rows = 9_000
    ids = np.arange(rows) // 3 * 7
    vectors = np.repeat(np.arange(rows // 3, dtype=np.float32), 3)[:, None] + np.tile([[-1], [0], [1]], (rows // 3, 1))
    raw = RawEmbeddings.from_arrays(ids, vectors, "a", rules=RowRules(several_rows="mean"))
    assert raw.ids.tolist() == list(range(0, rows // 3 * 7, 7))
    assert raw.vectors[:, 0].tolist() == list(range(rows // 3))
    vectors[::2] = 0
    raw = RawEmbeddings.from_arrays(np.arange(rows), vectors, "a", rules=RowRules("zero"))
    kept = [row for row in range(1, rows, 2) if vectors[row, 0]]
    assert raw.ids.tolist() == kept
    assert raw.vectors.tolist() == vectors[kept].tolist()


def test_other_words_are_refused():
    with pytest.raises(ParameterError, match="missing: found 'none', expected one of refuse, null, nan, zero"):
        RowRules("none")
    with pytest.raises(ParameterError, match="several_rows: found 'max', expected one of refuse, mean"):
        RowRules(several_rows="max")
