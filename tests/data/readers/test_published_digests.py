"""Digests of embedding files: right, wrong, missing, and of every format."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from price_fusion.data.readers.embedding_files import read_embeddings
from price_fusion.data.readers.rows import Asked
from price_fusion.datasets.embedding_files import EmbeddingFilesDataset
from price_fusion.datasets.errors import DatasetFileError
from price_fusion.errors import DataError, ParameterError

IDS = [3, 1, 2]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def files(tmp_path):
    """The same embeddings in each format."""
    (tmp_path / "pickle").write_bytes(pickle.dumps({"embeddings": VECTORS, "sample_ids": IDS}))
    pq.write_table(pa.table({"sample_id": IDS, "embedding": list(VECTORS)}), tmp_path / "parquet")
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy/embeddings.npy", VECTORS)
    np.save(tmp_path / "npy/sample_ids.npy", np.array(IDS))
    return tmp_path


def expected_of(path):
    return {file.name: digest(file) for file in path.iterdir()} if path.is_dir() else digest(path)


@pytest.mark.parametrize("file_format", ["pickle", "parquet", "npy"])
def test_a_flipped_bit_is_noticed(files, file_format):
    path = files / file_format
    expected = expected_of(path)
    entry = {"filepath": str(path), "file_format": file_format, "sha256": expected}
    assert EmbeddingFilesDataset(**entry).load().ids.tolist() == IDS
    damaged = path / "embeddings.npy" if path.is_dir() else path
    content = bytearray(damaged.read_bytes())
    content[content.index(VECTORS.tobytes()[-4:])] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DatasetFileError, match=f"^{damaged}: found the sha256 [0-9a-f]{{64}}, expected"):
        EmbeddingFilesDataset(**entry).load()
    with pytest.raises(DataError, match="sha256"):
        read_embeddings(path, file_format, sha256=expected)


def test_ids_beside_a_file_need_a_digest_too(tmp_path):
    np.savez(tmp_path / "clip.npz", embeddings=VECTORS)
    (tmp_path / "ids.csv").write_text("sample_id\n3\n1\n2\n")
    asked, path = Asked(ids="ids.csv"), tmp_path / "clip.npz"
    expected = {name: digest(tmp_path / name) for name in ("clip.npz", "ids.csv")}
    assert read_embeddings(path, asked=asked, sha256=expected).ids.tolist() == IDS
    with pytest.raises(ParameterError, match=r"each file that is read: clip\.npz, ids\.csv"):
        read_embeddings(path, asked=asked, sha256=digest(path))
    (tmp_path / "ids.csv").write_text("sample_id\n3\n1\n9\n")
    with pytest.raises(DataError, match=r"ids\.csv: found the sha256"):
        read_embeddings(path, asked=asked, sha256=expected)


def test_digests_of_capital_letters_will_do(files):
    assert read_embeddings(files / "parquet", "parquet", sha256=digest(files / "parquet").upper()).ids.tolist() == IDS


@pytest.mark.parametrize(
    ("name", "sha256", "found"),
    [
        ("npy", "0" * 64, "found one digest, expected a mapping .*: embeddings.npy, sample_ids.npy"),
        ("npy", {"embeddings.npy": "0" * 64}, "found those of embeddings.npy, expected a mapping"),
        ("npy", {"embeddings.npy": 12, "sample_ids.npy": "0" * 64}, "found 12, expected 64 hexadecimal digits"),
        ("parquet", {"parquet": "0" * 64}, "found a mapping, expected the digest of this one file"),
        ("parquet", "abc", "found 'abc', expected 64 hexadecimal digits"),
    ],
)
def test_what_is_no_digest_is_refused(files, name, sha256, found):
    with pytest.raises(ParameterError, match=found):
        read_embeddings(files / name, name, sha256=sha256)


def test_a_listed_file_that_is_not_there(files):
    expected = expected_of(files / "npy") | {"absent.npy": "0" * 64}
    with pytest.raises(DataError, match=r"absent\.npy: could not be read"):
        read_embeddings(Path(files / "npy"), "npy", sha256=expected)
