"""Embeddings as found in a file: what is accepted, and what each refusal says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.errors import AlignmentError, DataError

VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_keeps_the_matrix_without_a_copy(dtype):
    vectors = VECTORS.astype(dtype)
    raw = RawEmbeddings.from_arrays([3, 1, 2], vectors, "a.pkl")
    assert raw.vectors is vectors
    assert raw.ids.dtype == np.int64
    assert raw.ids.tolist() == [3, 1, 2]
    assert raw.origin == "a.pkl"


def test_keeps_a_memory_map(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert RawEmbeddings.from_arrays([1, 2, 3], vectors, "a").vectors is vectors


@pytest.mark.parametrize(
    "ids",
    [
        (3, 1, 2),
        np.array([3, 1, 2], dtype=np.uint64),
        np.array([3, 1, 2], dtype=np.int16),
        np.array([3, 1, 2], dtype=object),
        [np.array(3), np.int32(1), 2],
    ],
)
def test_takes_whole_numbers_however_stored(ids):
    raw = RawEmbeddings.from_arrays(ids, VECTORS, "a")
    assert raw.ids.dtype == np.int64
    assert raw.ids.tolist() == [3, 1, 2]


def test_takes_tensors_as_ids():
    torch = pytest.importorskip("torch")
    listed = RawEmbeddings.from_arrays([torch.tensor(i) for i in (3, 1, 2)], VECTORS, "a")
    whole = RawEmbeddings.from_arrays(torch.tensor([3, 1, 2]), VECTORS, "a")
    assert listed.ids.tolist() == whole.ids.tolist() == [3, 1, 2]


@given(hnp.arrays(np.int64, st.integers(1, 30), unique=True))
def test_any_int64_ids_come_back(ids):
    vectors = np.zeros((len(ids), 1), np.float16)
    for stored in (ids, ids.tolist(), list(ids), ids.astype(object)):
        assert np.array_equal(RawEmbeddings.from_arrays(stored, vectors, "a").ids, ids)


@pytest.mark.parametrize(
    ("vectors", "found"),
    [
        (VECTORS.tolist(), "list"),
        (None, "NoneType"),
        (VECTORS[0], r"shape \(4,\)"),
        (VECTORS[:0], r"shape \(0, 4\)"),
        (VECTORS[:, :0], r"shape \(3, 0\)"),
        (VECTORS.astype(int), "dtype int64"),
        (VECTORS.astype(object), "dtype object"),
        (VECTORS.astype(complex), "dtype complex128"),
    ],
)
def test_refuses_other_matrices(vectors, found):
    with pytest.raises(DataError, match=rf"a\.pkl: vectors .*{found}.*expected a 2-d array"):
        RawEmbeddings.from_arrays([1, 2, 3], vectors, "a.pkl")


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["7", 8, 9], r"'7' \(str\) in row 0 among ints"),
        (["7", "x", 9], r"9 \(int\) in row 2 among strs"),
        ([1, 2.0, 3], r"2\.0 \(float\) in row 1"),
        ([1, True, 3], r"True \(bool\) in row 1"),
        ([1, 2, None], r"None \(NoneType\) in row 2"),
        ([1, 2, np.array([3])], r"numpy\.ndarray\) in row 2"),
        ([1, 2, np.float32(3)], r"numpy\.float32\) in row 2"),
        ([1, 2, 10**5000], "an integer of 16610 bits in row 2"),
        (np.array([1.0, 2.0, 3.0]), r"dtype float64.*1\.0, 2\.0"),
        (np.array([b"a", b"b", b"c"]), "dtype .S1"),
        (np.array([True, False, True]), "dtype bool"),
        (np.array([[1], [2], [3]]), r"shape \(3, 1\)"),
        (np.array([1, 2**31, 3], np.uint32).view("<U1"), r"1 id\(s\) are no text: row 1 hold numbers beyond Unicode"),
        ({1, 2, 3}, "a set"),
        ("123", "a str"),
        (None, "a NoneType"),
    ],
)
def test_refuses_other_ids(ids, found):
    with pytest.raises(DataError, match=rf"a\.pkl: .*{found}.*(expected|damaged)"):
        RawEmbeddings.from_arrays(ids, VECTORS, "a.pkl")


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["1", "3", "-2"], [1, 3, -2]),
        (np.array(["1", "3", "2"]), [1, 3, 2]),
        (["a ", "007", "B-7"], ["a", "007", "B-7"]),
        (np.array(["a", "007", "B-7"]), ["a", "007", "B-7"]),
        (np.array(["a", "007", "B-7"], dtype=object), ["a", "007", "B-7"]),
        (np.array(["a", "007", "B-7"]).astype(">U5"), ["a", "007", "B-7"]),
        (np.array(["a", "007", "B-7"], dtype=np.dtypes.StringDType()), ["a", "007", "B-7"]),
        ([1, 2, 2**63], ["1", "2", "9223372036854775808"]),
        (np.array([1, 2, 2**63], dtype=np.uint64), ["1", "2", "9223372036854775808"]),
    ],
)
def test_takes_text_and_numbers_in_text(ids, found):
    raw = RawEmbeddings.from_arrays(ids, VECTORS, "a")
    assert raw.ids.tolist() == found
    assert raw.ids.dtype.kind == ("i" if isinstance(found[0], int) else "U")


@given(hnp.arrays(np.uint32, st.integers(1, 6), elements=st.integers(0, 2**32 - 1)))
def test_any_bytes_of_a_unicode_array_are_text_or_refused(letters):
    ids = np.resize(letters, (3, len(letters))).view(f"<U{len(letters)}").ravel()
    try:
        found = RawEmbeddings.from_arrays(ids, VECTORS, "a").ids
    except DataError as error:
        assert str(error).startswith("a: ")  # noqa: PT017
    else:
        assert len(set(found.tolist())) == 3


def test_counts_offenders_beyond_the_first_few():
    with pytest.raises(DataError, match="and 3 more"):
        RawEmbeddings.from_arrays(["="] * 8, np.zeros((8, 1)), "a")


def test_refuses_another_number_of_ids():
    with pytest.raises(DataError, match="found 2 ids for 3 rows"):
        RawEmbeddings.from_arrays([1, 2], VECTORS, "a")


def test_lists_all_problems_at_once():
    with pytest.raises(DataError, match=r"^a: 3 problems:\n  - .*\n  - .*\n  - ") as caught:
        RawEmbeddings.from_arrays(["x", "x", "=y", "z"], VECTORS, "a")
    assert [problem[:9] for problem in caught.value.problems] == ["a: 1 id(s", "a: 1 id(s", "a: found "]
    with pytest.raises(DataError, match="2 problems") as caught:
        RawEmbeddings.from_arrays([1.5], VECTORS[0], "a")
    assert all(problem.startswith("a: ") for problem in caught.value.problems)


def test_refuses_duplicates():
    with pytest.raises(
        AlignmentError, match=r"a: 1 id\(s\) occur more than once: 5 in rows 0, 2; expected each id once"
    ):
        RawEmbeddings.from_arrays([5, 1, 5], VECTORS, "a")
