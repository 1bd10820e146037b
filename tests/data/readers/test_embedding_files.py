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
from price_fusion.data.readers.row_rules import RowRules
from price_fusion.data.readers.rows import Asked
from price_fusion.errors import AlignmentError, DataError, UnsafePickleError

IDS = [30, 10, 20]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)


def read(path, file_format="auto", *, products=None, missing="refuse", several_rows="refuse", **asked):
    rules = RowRules(missing, several_rows)
    return read_embeddings(path, file_format, asked=Asked(**asked), rules=rules, products=products)


def refusal(path, file_format="auto", error=DataError, **options):
    with pytest.raises(error) as caught:
        read(path, file_format, **options)
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
    assert "unknown file_format 'csv', expected one of auto, npy, npz, pickle" in refusal(tmp_path, "csv")


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
        check(read(dumped(tmp_path / "a.pkl", content), embeddings="e", ids="i"), read_as)


def test_pickles_refused(tmp_path):
    path = tmp_path / "a.pkl"
    message = refusal(dumped(path, [VECTORS]))
    assert "found a list of 1, the first an array of shape (3, 4) and dtype float32, expected a dict" in message
    message = refusal(dumped(path, {"embedding": VECTORS, "sample_ids": IDS}), embeddings="embeddings")
    assert "no key 'embeddings', only 'embedding', 'sample_ids'; did you mean 'embedding'?" in message
    assert "no key 'embeddings', only none" in refusal(dumped(path, {}))
    message = refusal(dumped(path, {"embeddings": [1.0], "sample_ids": [1]}))
    assert "'embeddings': found a float in row 0 that is no vector of floats" in message
    dumped(path, {"embeddings": VECTORS, "sample_ids": [1, 1, 2]})
    message = refusal(path, error=AlignmentError)
    assert "1 in rows 0, 1" in message
    assert "set 'several_rows: mean'" in message
    assert "builtins.len" in refusal(dumped(path, {"embeddings": len}), error=UnsafePickleError)
    assert "found a folder with a.pkl, expected" in refusal(tmp_path)
    path.write_bytes(b"")
    assert "empty file" in refusal(path)
    path.write_bytes(pickle.dumps({})[:-1])
    assert "breaks off" in refusal(path)


def test_labels_beside_vectors_are_never_taken_for_ids(tmp_path):
    content = {"embeddings": VECTORS, "labels": IDS, "rows": np.arange(3)}
    assert "no key 'sample_ids', only 'embeddings', 'labels', 'rows'" in refusal(dumped(tmp_path / "a.pkl", content))


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
    check(read(folder, embeddings="image_embeddings.npy", ids="image_sample_ids.npy"))
    check(read(folder))  # there is one array that is not of ids, and one that is
    np.save(folder / "text_embeddings.npy", VECTORS)
    message = refusal(folder)
    assert "no file 'embeddings.npy', only 'image_embeddings.npy', 'image_sample_ids.npy', 'text_embedd" in message
    assert "did you mean" in message


def test_npy_truncated_anywhere(folder):
    for name in ("embeddings.npy", "sample_ids.npy"):
        whole = (folder / name).read_bytes()
        for length in range(len(whole)):
            (folder / name).write_bytes(whole[:length])
            assert refusal_of_any(folder).startswith(str(folder / name) if name.startswith("sample") else str(folder))
        (folder / name).write_bytes(whole)


def test_ids_of_another_format_are_not_taken_for_absent(folder):
    (folder / "sample_ids.npy").rename(folder / "sample_ids.pkl")
    (folder / "sample_ids.pkl").write_bytes(pickle.dumps(["a", "b", "c"]))
    assert "sample_ids.pkl: found a pickle, expected" in refusal_of_any(folder)
    (folder / "sample_ids.pkl").rename(folder / "sample_ids.npy.sha256")
    assert "found vectors without ids" in refusal_of_any(folder)


def refusal_of_any(folder):
    with pytest.raises(DataError) as caught:
        read_embeddings(folder, "npy")
    return str(caught.value)


def test_npy_refused(folder):
    path = folder / "embeddings.npy"
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


def test_the_ids_beside_an_array_are_those_of_its_rows(folder):
    check(read(folder / "embeddings.npy"))
    np.save(folder / "image_ids.npy", np.arange(3))
    message = refusal(folder / "embeddings.npy")
    assert "found 2 files that may hold the ids of 'embeddings.npy' ('image_ids.npy', 'sample_ids.npy')" in message
    check(read(folder / "embeddings.npy", ids="sample_ids.npy"))
    assert "no file 'sample_id.npy', only" in refusal(folder, ids="sample_id.npy")


def test_an_array_without_ids_is_in_the_order_of_the_product_file(folder):
    (folder / "sample_ids.npy").unlink()
    for path in (folder, folder / "embeddings.npy"):
        check(read(path, products=lambda: (np.array(IDS), "train.csv")))
        message = refusal(path, products=lambda: (np.arange(4), "train.csv"))
        assert "found 3 rows without ids, and 4 products in train.csv" in message
        assert "numpy.save('sample_ids.npy', ids)" in refusal(path)


def test_other_files_are_in_that_order_only_if_the_catalog_says_so(tmp_path):
    def products():
        return np.array(IDS), "train.csv"

    for content in (VECTORS, list(VECTORS), VECTORS.tolist()):
        path = dumped(tmp_path / "a.pkl", content)
        assert "set 'ids: products' in its catalog entry" in refusal(path, products=products)
        raw = read(path, products=products, ids="products")
        assert raw.ids.tolist() == IDS
        assert raw.vectors.tolist() == VECTORS.tolist()


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
    check(read(path, embeddings="vector", ids="id", binary_dtype="float16"), np.float16)
    assert "found no column 'embedding', and columns that are no dimensions ('vector')" in refusal(path)


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
        (COLUMNS["list"], [1, None, None], r"2 rows are null \(rows 1, 2\)"),
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


def test_columns_that_are_no_dimensions_are_never_read_as_such(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"sample_id": IDS, "d1": VECTORS[:, 1], "d0": VECTORS[:, 0]}
    for name, values in [("price", [9.5, 8.5, 7.5]), ("title", ["a", "b", "c"])]:
        pq.write_table(pa.table({**columns, name: values}), path)
        assert f"columns that are no dimensions ('{name}')" in refusal(path)
        assert read(path, embeddings="d*").vectors.tolist() == VECTORS[:, :2].tolist()  # in the order of their numbers
    assert "no column 'e', only 'd1', 'd0', 'title'" in refusal(path, embeddings="e")


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
    message = refusal(path, "pickle")
    assert "found parquet, going by its first bytes, but its catalog entry says 'file_format: pickle'" in message
    dumped(path, {})
    for file_format in ("parquet", "npy"):
        assert (
            f"found a pickle, going by its first bytes, but its catalog entry says 'file_format: {file_format}'"
            in refusal(path, file_format)
        )


def test_other_formats_are_named_and_not_called_damaged(tmp_path):
    path = tmp_path / "vectors.bin"
    for content, found in [
        (b"id,d0,d1\n5,0.1,0.2\n", "found text, such as CSV, expected embeddings as .npy, .npz, a pickle"),
        (b'{"5": [0.1, 0.2]}', "found JSON, expected"),
        (gzip.compress(b"\x89HDF\r\n\x1a\n\0", mtime=0), "found an HDF5 file, .*h5py"),
        (b"FEA1" + b"\0" * 9, "found a Feather file of version 1, .*pandas.read_feather"),
        (b"\x80\x04\x95joblib.numpy_pickle", "found a file of joblib.dump"),
        (b"\x28\xb5\x2f\xfd\0", "compressed with Zstandard, expected .*unzstd"),
        (b"\xa0\xa1\xa2", "of no known format, .*'file_format: pickle'"),
    ]:
        path.write_bytes(content)
        message = refusal(path)
        assert re.search(found, message), message
        assert not re.search("damaged|truncated|copy", message)


def test_folders_of_parts_hold_nothing_else(tmp_path):
    (tmp_path / "_SUCCESS").touch()
    assert "found a folder with nothing in it, expected .npy arrays, parts that are" in refusal(tmp_path)
    for part in range(3):
        written(tmp_path / f"part-{part}.parquet", COLUMNS["list"], [10 * part, 10 * part + 1, 10 * part + 2])
    assert read(tmp_path).ids.tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    (tmp_path / "part-1.parquet").write_bytes(bytes(99))
    assert "part-1.parquet is no parquet file: copy it again" in refusal(tmp_path)
    written(tmp_path / "part-1.parquet", COLUMNS["list"], names=("id", "embedding"))
    assert "part-1.parquet: found other columns of vectors than in 'part-0.parquet'" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (VECTORS, r"found an array of shape \(3, 4\) and dtype float32 without ids"),
        ([{"id": 5, "v": [0.5]}], r"found a list of 1, the first a dict of 1 \('id', 'v'\)|a dict of 2 \('id', 'v'\)"),
        ((IDS, VECTORS), "found a tuple of 2, the first a list of 3"),
        ({"train": {}, "test": {}}, "Its values are dicts: write each of them as a file of its own"),
        ({"x": VECTORS[0], "y": VECTORS[1, :2]}, "found 2 numbers in row 1 and 4 in row 0"),
        ({"x": VECTORS[0], "y": "z"}, "found a str in row 1 that is no vector"),
        ({"x": VECTORS[0], 7: VECTORS[1]}, "7 .int. in row 1 among strs|'x' .str. in row 0 among ints"),
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
