"""Readers of embedding files: each format as written in practice, and each way it can be wrong."""

import gzip
import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from price_fusion.data.readers.embedding_files import read_embeddings
from price_fusion.errors import AlignmentError, DataError, UnsafePickleError

IDS = [30, 10, 20]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)


def refusal(path, file_format, error=DataError, **options):
    with pytest.raises(error) as caught:
        read_embeddings(path, file_format, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


def check(raw, dtype=np.float32):
    assert raw.ids.tolist() == IDS
    assert raw.ids.dtype == np.int64
    assert raw.vectors.dtype == dtype
    assert raw.vectors.tolist() == VECTORS.tolist()


def test_missing_paths_and_formats(tmp_path):
    for file_format in ("pickle", "npy", "parquet"):
        assert "no such file or folder" in refusal(tmp_path / "absent", file_format)
    assert "unknown format 'csv', expected one of pickle, npy, parquet" in refusal(tmp_path, "csv")


# --- pickle ---


def dumped(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


def test_pickle_of_the_reference(tmp_path):
    content = {"embeddings": VECTORS, "sample_ids": IDS, "data_type": "train", "embedding_dim": 4, "num_samples": 3}
    raw = read_embeddings(dumped(tmp_path / "a.pkl", content), "pickle")
    check(raw)
    assert isinstance(raw.vectors, np.memmap)
    assert raw.origin == str(tmp_path / "a.pkl")


def test_pickle_of_tensors_and_other_keys(tmp_path):
    torch = pytest.importorskip("torch")
    for dtype, read_as in [(torch.bfloat16, np.float32), (torch.float16, np.float16), (torch.float64, np.float64)]:
        content = {"e": torch.from_numpy(VECTORS).to(dtype), "i": [torch.tensor(i) for i in IDS]}
        check(read_embeddings(dumped(tmp_path / "a.pkl", content), "pickle", embeddings="e", ids="i"), read_as)


def test_pickles_refused(tmp_path):
    path = tmp_path / "a.pkl"
    message = refusal(dumped(path, [VECTORS]), "pickle")
    assert "found a list of 1, the first an array of shape (3, 4) and dtype float32 in the pickle" in message
    message = refusal(dumped(path, {"embedding": VECTORS, "sample_ids": IDS}), "pickle")
    assert "no key 'embeddings', only 'embedding', 'sample_ids'; did you mean 'embedding'?" in message
    assert "no key 'embeddings', only none" in refusal(dumped(path, {}), "pickle")
    assert "vectors are a list" in refusal(dumped(path, {"embeddings": [1.0], "sample_ids": [1]}), "pickle")
    dumped(path, {"embeddings": VECTORS, "sample_ids": [1, 1, 2]})
    assert "more than once" in refusal(path, "pickle", AlignmentError)
    assert "builtins.print" in refusal(dumped(path, {"embeddings": print}), "pickle", UnsafePickleError)
    assert "found a folder with a.pkl, expected a pickle" in refusal(tmp_path, "pickle")
    path.write_bytes(b"")
    assert "empty file" in refusal(path, "pickle")
    path.write_bytes(pickle.dumps({})[:-1])
    assert "breaks off" in refusal(path, "pickle")


# --- npy ---


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "embeddings.npy", VECTORS)
    np.save(tmp_path / "sample_ids.npy", np.array(IDS))
    return tmp_path


def test_npy_is_memory_mapped(folder):
    raw = read_embeddings(folder, "npy")
    check(raw)
    assert isinstance(raw.vectors, np.memmap)
    assert raw.origin == str(folder)


def test_npy_with_other_names(folder):
    (folder / "embeddings.npy").rename(folder / "image_embeddings.npy")
    (folder / "sample_ids.npy").rename(folder / "image_sample_ids.npy")
    check(read_embeddings(folder, "npy", embeddings="image_embeddings.npy", ids="image_sample_ids.npy"))
    message = refusal(folder, "npy")
    assert "no file 'embeddings.npy', only 'image_embeddings.npy', 'image_sample_ids.npy'; did you mean" in message


def test_npy_truncated_anywhere(folder):
    for name in ("embeddings.npy", "sample_ids.npy"):
        whole = (folder / name).read_bytes()
        for length in range(len(whole)):
            (folder / name).write_bytes(whole[:length])
            assert name in refusal_of_any(folder)
        (folder / name).write_bytes(whole)


def refusal_of_any(folder):
    with pytest.raises(DataError) as caught:
        read_embeddings(folder, "npy")
    return str(caught.value)


def test_npy_refused(folder):
    path = folder / "embeddings.npy"
    assert "expected a folder" in refusal(path, "npy")
    np.save(path, np.array([["a", 1.0]] * 3, dtype=object))
    assert "Python objects (dtype object)" in refusal(folder, "npy")
    path.write_bytes(pickle.dumps(VECTORS))
    assert "found a pickle, expected one array of numpy.save" in refusal(folder, "npy")
    with path.open("wb") as file:
        np.savez(file, VECTORS)
    assert "found an .npz archive" in refusal(folder, "npy")
    np.save(path, VECTORS[:2])
    assert "3 ids for 2 rows" in refusal(folder, "npy")


@pytest.mark.parametrize("name", ["embeddings.npy", "sample_ids.npy"])
def test_what_follows_an_array_is_never_dropped(folder, name):
    """numpy.save to an open file, again and again, leaves a file of which numpy.load reads the first array."""
    whole = (folder / name).read_bytes()
    with (folder / name).open("ab") as file:
        np.save(file, np.load(folder / name))
    message = refusal_of_any(folder)
    assert f"{name}: found {len(whole)} more bytes after the array" in message
    assert "another array" in message
    for rest in (b"\0" * 4096, b"\n"):
        (folder / name).write_bytes(whole + rest)
        assert f"{len(rest):,} more bytes after the array" in refusal_of_any(folder)


@pytest.mark.parametrize(
    ("name", "array", "advice"),
    [
        ("sample_ids.npy", np.array(["x7", 8, None], object), "numpy.save(FILE, ids.astype(str))"),
        ("embeddings.npy", np.array([None, *VECTORS[:2]], object), "numpy.stack(vectors)"),
    ],
)
def test_arrays_of_objects_say_how_to_write_them(folder, name, array, advice):
    np.save(folder / name, array)
    assert advice in refusal_of_any(folder)


def test_vectors_without_ids_say_how_to_add_them(folder):
    message = refusal(folder / "embeddings.npy", "npy")
    assert "found a .npy array, expected a folder with 'embeddings.npy' and 'sample_ids.npy'" in message
    assert "numpy.save('sample_ids.npy', " in message
    (folder / "sample_ids.npy").unlink()
    assert "numpy.save('sample_ids.npy', " in refusal(folder, "npy")
    assert "(file_format: npy)" in refusal(folder / "embeddings.npy", "parquet")


# --- parquet ---


def written(path, vectors, ids=IDS, names=("sample_id", "embedding"), **options):
    pq.write_table(pa.table(dict(zip(names, [pa.array(ids), vectors], strict=True))), path, **options)
    return path


FLAT = pa.array(VECTORS.ravel())
BYTES = [row.tobytes() for row in VECTORS]
COLUMNS = {
    "list": pa.array(list(VECTORS)),
    "large list": pa.array(list(VECTORS), pa.large_list(pa.float32())),
    "fixed-size list": pa.FixedSizeListArray.from_arrays(FLAT, 4),
    "binary": pa.array(BYTES, pa.binary()),
    "large binary": pa.array(BYTES, pa.large_binary()),
    "fixed-size binary": pa.array(BYTES, pa.binary(16)),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("row_group_size", [3, 2])
def test_parquet_columns(tmp_path, kind, row_group_size):
    check(read_embeddings(written(tmp_path / "a", COLUMNS[kind], row_group_size=row_group_size), "parquet"))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_parquet_floats_of_other_sizes(tmp_path, dtype):
    check(read_embeddings(written(tmp_path / "a", pa.array(list(VECTORS.astype(dtype)))), "parquet"), dtype)


def test_parquet_bytes_of_float16_and_other_names(tmp_path):
    column = pa.array([row.tobytes() for row in VECTORS.astype(np.float16)])
    path = written(tmp_path / "a", column, names=("id", "vector"))
    check(read_embeddings(path, "parquet", embeddings="vector", ids="id", binary_dtype="float16"), np.float16)
    assert "no column 'embedding', only 'id', 'vector'" in refusal(path, "parquet")


@pytest.mark.parametrize(
    ("column", "ids", "found"),
    [
        (pa.array([[1.0, 2.0], [1.0], [1.0]]), IDS, "2 in row 0, 1 in row 1 and 1 more"),
        (pa.array([b"12345678", b"1234", b"1234"]), IDS, "8 in row 0, 4 in row 1"),
        (pa.array([b"12345678", b"123", b"1234"]), IDS, "3 bytes in row 1, expected a multiple of 4"),
        (pa.array([[1.0], None, [2.0]]), IDS, r"1 of 3 rows are null \(row 1\)"),
        (pa.array([[1.0], [None], [2.0]]), IDS, "1 empty values inside"),
        (pa.array([[], [], []], pa.list_(pa.float32())), IDS, "0 in each row"),
        (pa.array([[1], [2], [3]]), IDS, "lists of int64"),
        (pa.array([1.0, 2.0, 3.0]), IDS, "type double"),
        (pa.array(["a", "b", "c"]), IDS, "type string"),
        (COLUMNS["list"], [1, None, None], r"2 of 3 rows are null \(rows 1, 2\)"),
        (COLUMNS["list"], [1.0, 2.0, 3.0], "neither whole numbers nor text"),
        (pa.array([], pa.list_(pa.float32())), pa.array([], pa.int64()), "no rows"),
    ],
)
def test_parquet_refused(tmp_path, column, ids, found):
    with pytest.raises(DataError, match=found):
        read_embeddings(written(tmp_path / "a", column, ids), "parquet")


def test_parquet_damaged(tmp_path):
    path = written(tmp_path / "a", COLUMNS["list"])
    whole = path.read_bytes()
    for length in range(7, len(whole), 7):
        path.write_bytes(whole[:length])
        assert "could not be read" in refusal(path, "parquet")


def test_a_parquet_column_twice(tmp_path):
    for column in ("sample_id", "embedding"):
        table = pa.table({"sample_id": IDS, "embedding": COLUMNS["list"]})
        path = tmp_path / f"{column}.parquet"
        pq.write_table(table.append_column(column, table[column]), path)
        assert f"found 2 columns '{column}', expected one" in refusal(path, "parquet")


def test_parquet_files_joined_byte_by_byte_are_never_read_as_one(tmp_path):
    one, other = (
        written(tmp_path / name, pa.array(list(VECTORS + add)), compression="none").read_bytes()
        for name, add in (("a", 0), ("b", 100))
    )
    (tmp_path / "joined").write_bytes(one + other)
    assert "several parquet files one after the other" in refusal(tmp_path / "joined", "parquet")


def test_an_index_of_pandas_in_parquet_may_hold_row_numbers(tmp_path):
    path = written(tmp_path / "a", COLUMNS["list"], names=("__index_level_0__", "embedding"))
    assert "may hold row numbers" in refusal(path, "parquet")


def test_parquet_with_a_column_for_each_dimension_says_how_to_write_it(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"sample_id": IDS, "d0": VECTORS[:, 0], "d1": VECTORS[:, 1]}), path)
    message = refusal(path, "parquet")
    assert "no column 'embedding', only 'sample_id', 'd0', 'd1'" in message
    assert "pandas.DataFrame({'sample_id': ids, 'embedding': list(" in message


@pytest.mark.parametrize("ids", [pa.array(["x9", "10", "x9é"]), pa.array([30, 10, 20], pa.uint32())])
def test_parquet_of_dictionaries_and_halffloats(tmp_path, ids):
    vectors = pa.array(list(VECTORS.astype(np.float16)), pa.list_(pa.float16()))
    path = written(tmp_path / "a", vectors, ids.dictionary_encode(), row_group_size=2)
    raw = read_embeddings(path, "parquet")
    assert raw.ids.tolist() == ids.to_pylist()
    assert raw.vectors.dtype == np.float16
    assert raw.vectors.tolist() == VECTORS.tolist()


# --- files of other formats, files where folders are expected, and the reverse ---


def test_the_catalog_names_another_format_than_the_file_has(tmp_path):
    path = written(tmp_path / "a", COLUMNS["list"])
    assert "found a parquet file, expected a pickle. Set 'file_format: parquet'" in refusal(path, "pickle")
    dumped(path, {})
    for file_format in ("parquet", "npy"):
        assert "Set 'file_format: pickle'" in refusal(path, file_format)


@pytest.mark.parametrize("file_format", ["pickle", "parquet", "npy"])
def test_other_formats_are_named_and_not_called_damaged(tmp_path, file_format):
    path = tmp_path / "vectors.bin"
    for content, found in [
        (gzip.compress(b"x", mtime=0), "compressed with gzip, expected .*gunzip"),
        (b"id,d0,d1\n5,0.1,0.2\n", "found text, such as CSV, expected"),
        (b'{"5": [0.1, 0.2]}', "found JSON, expected"),
    ]:
        path.write_bytes(content)
        message = refusal(path, file_format)
        assert re.search(found, message)
        assert not re.search("damaged|truncated|copy", message)


def test_folders_where_a_file_is_expected(tmp_path):
    (tmp_path / "_SUCCESS").touch()
    assert "found a folder with _SUCCESS, expected a pickle. Name the file" in refusal(tmp_path, "pickle")
    for part in range(3):
        written(tmp_path / f"part-{part}.parquet", COLUMNS["list"])
    for file_format in ("pickle", "parquet"):
        message = refusal(tmp_path, file_format)
        assert "a folder of 3 parquet file(s), as Spark and Dask write it" in message
        assert "pyarrow.parquet.write_table" in message
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "x.npy", VECTORS)
    assert "Set 'file_format: npy'" in refusal(tmp_path / "npy", "parquet")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            {5: VECTORS[0], 7: VECTORS[1]},
            r"a dict from ids to vectors \(of 2 products; the first vector is an array of",
        ),
        ({"x5": [0.5, 1.5]}, r"a dict from ids to vectors .*numpy\.stack\(list\(found\.values\(\)\)\)"),
        (VECTORS, r"found an array of shape \(3, 4\) and dtype float32 in the pickle"),
        ([{"id": 5, "v": [0.5]}], r"found a list of 1, the first a dict of 1 \('id', 'v'\)|a dict of 2 \('id', 'v'\)"),
        ((IDS, VECTORS), "found a tuple of 2, the first a list of 3"),
        ({"train": {}, "test": {}}, "Its values are dicts: write each of them as a file of its own"),
        ({"embeddings": list(VECTORS), "sample_ids": IDS}, r"a list of 3, the first an array of shape \(4,\)"),
        ({"embeddings": VECTORS.tolist(), "sample_ids": IDS}, "a list of 3, the first a list of 4, the first a float"),
    ],
)
def test_pickles_of_other_contents_say_what_was_found(tmp_path, content, found):
    message = refusal(dumped(tmp_path / "a.pkl", content), "pickle")
    assert re.search(found, message), message
    assert not re.search("damaged|breaks off", message)


def test_a_list_that_holds_itself_is_described(tmp_path):
    endless = []
    endless.append(endless)
    assert "found a list of 1, the first a list of 1" in refusal(dumped(tmp_path / "a.pkl", endless), "pickle")


def test_a_link_that_leads_nowhere_is_named_with_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "embeddings.npy").symlink_to("/mnt/gone/vectors.npy")
    np.save(tmp_path / "sample_ids.npy", np.arange(3))
    with pytest.raises(DataError, match=r"embeddings.npy: a link to /mnt/gone/vectors.npy, where nothing is"):
        read_embeddings(tmp_path, "npy")
    (tmp_path / "a.pkl").symlink_to("b.pkl")
    with pytest.raises(DataError, match=r"a.pkl: a link to b.pkl, where nothing is"):
        read_embeddings(tmp_path / "a.pkl", "pickle")
