"""Readers of embedding files: each format as written in practice, and each way it can be wrong."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from price_fusion.errors import AlignmentError, DataError, UnsafePickleError
from price_fusion.fusion.tables.readers import read_embeddings

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
    assert "pickled list, expected a dict" in refusal(dumped(path, [VECTORS]), "pickle")
    message = refusal(dumped(path, {"embedding": VECTORS, "sample_ids": IDS}), "pickle")
    assert "no key 'embeddings', only 'embedding', 'sample_ids'; did you mean 'embedding'?" in message
    assert "no key 'embeddings', only none" in refusal(dumped(path, {}), "pickle")
    assert "vectors are a list" in refusal(dumped(path, {"embeddings": [1.0], "sample_ids": [1]}), "pickle")
    dumped(path, {"embeddings": VECTORS, "sample_ids": [1, 1, 2]})
    assert "more than once" in refusal(path, "pickle", AlignmentError)
    assert "builtins.print" in refusal(dumped(path, {"embeddings": print}), "pickle", UnsafePickleError)
    assert "could not be read" in refusal(tmp_path, "pickle")
    path.write_bytes(b"")
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
    assert "Python objects in dtype" in refusal(folder, "npy")
    path.write_bytes(pickle.dumps(VECTORS))
    assert "could not be read" in refusal(folder, "npy")
    with path.open("wb") as file:
        np.savez(file, VECTORS)
    assert "archive" in refusal(folder, "npy")
    np.save(path, VECTORS[:2])
    assert "3 ids for 2 rows" in refusal(folder, "npy")


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
        (pa.array([[1.0], None, [2.0]]), IDS, r"1 empty rows \(row 1\)"),
        (pa.array([[1.0], [None], [2.0]]), IDS, "1 empty values inside"),
        (pa.array([[], [], []], pa.list_(pa.float32())), IDS, "0 in each row"),
        (pa.array([[1], [2], [3]]), IDS, "lists of int64"),
        (pa.array([1.0, 2.0, 3.0]), IDS, "type double"),
        (pa.array(["a", "b", "c"]), IDS, "type string"),
        (COLUMNS["list"], [1, None, 2], "1 empty rows"),
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
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert "could not be read" in refusal(path, "parquet")
    assert "found a folder" in refusal(tmp_path, "parquet")
