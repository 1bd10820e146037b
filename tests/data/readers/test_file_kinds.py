"""What files are, by their first bytes: those that the formats' own writers leave."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from price_fusion.data.readers.file_kinds import AS_ARRAYS, HEAD, kind_of, kind_of_file, refuse_other_kind
from price_fusion.errors import DataError

VECTORS = np.random.default_rng(0).random((20, 8), np.float32)
IDS = np.arange(20)
TABLE = pa.table({"sample_id": IDS, "embedding": VECTORS.tolist()})
CSV = pd.DataFrame(VECTORS).to_csv().encode()


def in_memory(write, *arguments, **options):
    buffer = io.BytesIO()
    write(buffer, *arguments, **options)
    return buffer.getvalue()


def stream():
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue().to_pybytes()


def zipped(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "a.npy,b" * 100)
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.csv"))
    return buffer.getvalue()


def savez(buffer, **arrays):
    np.savez(buffer, **arrays)


FILES = [
    ("npy", in_memory(np.save, VECTORS)),
    ("npz", in_memory(savez, embeddings=VECTORS, sample_ids=IDS)),
    ("npz", in_memory(lambda buffer: np.savez_compressed(buffer, VECTORS))),
    ("parquet", in_memory(lambda buffer: pa.parquet.write_table(TABLE, buffer))),
    ("arrow", in_memory(lambda buffer: pa.feather.write_feather(TABLE, buffer))),
    ("arrow stream", stream()),
    ("orc", in_memory(lambda buffer: pa.orc.write_table(TABLE, buffer))),
    ("gzip", gzip.compress(CSV, mtime=0)),
    ("bzip2", bz2.compress(CSV)),
    ("xz", lzma.compress(CSV)),
    ("lzma", lzma.compress(CSV, lzma.FORMAT_ALONE)),
    *(("zlib", zlib.compress(pickle.dumps(VECTORS), level)) for level in (1, 3, 6, 9)),
    ("zip", zipped("train.csv")),
    ("xlsx", zipped("[Content_Types].xml")),
    ("tar", tarred()),
    ("text", CSV),
    ("text", "\ufeffsample_id,catalog_content\n1,Café".encode()),
    ("text", ("sample_id\n" + "é" * HEAD).encode()[:HEAD]),
    ("json", json.dumps({"5": [0.25]}).encode()),
    ("json", json.dumps(VECTORS.tolist(), indent=2).encode()),
    ("json", pd.DataFrame(VECTORS).to_json(orient="records", lines=True).encode()),
    ("html", b"\n<!DOCTYPE html><title>Sign in</title>"),
    ("git lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    ("hdf5", b"\x89HDF\r\n\x1a\n\x00"),
    ("empty", b""),
    ("zeros", bytes(9)),
    *(("pickle", pickle.dumps({"embeddings": VECTORS}, protocol)) for protocol in range(2, 6)),
    # Nothing tells these from other bytes, or text: their readers try.
    *((None, pickle.dumps(content, protocol)) for content in ({"a": [0.5]}, [1.5], VECTORS) for protocol in (0, 1)),
    (None, "sample_id,price\n5,7".encode("utf-16")),
    (None, "sample_id,catalog_content\n5,Café\n5,x".encode("cp1252")),
]


@pytest.mark.parametrize(("name", "content"), FILES, ids=[f"{number}-{name}" for number, (name, _) in enumerate(FILES)])
def test_what_writers_leave_is_recognised(tmp_path, name, content):
    path = tmp_path / "misleading.pkl"
    path.write_bytes(content)
    kind = kind_of_file(path)
    assert (kind and kind.name) == name


def test_files_of_joblib_safetensors_and_torch(tmp_path):
    joblib = pytest.importorskip("joblib")
    safetensors = pytest.importorskip("safetensors.numpy")
    torch = pytest.importorskip("torch")
    content = {"embeddings": VECTORS, "sample_ids": IDS}
    path = tmp_path / "a.pkl"
    joblib.dump(content, path)
    assert kind_of_file(path).name == "joblib"
    joblib.dump(content, path, compress=3)
    assert kind_of_file(path).name == "zlib"
    safetensors.save_file(content, path, metadata={"made": "up"})
    assert kind_of_file(path).name == "safetensors"
    for zipped_file, name in ((True, "torch"), (False, "old torch")):
        torch.save(content, path, _use_new_zipfile_serialization=zipped_file)
        assert kind_of_file(path).name == name
        torch.save({"e": torch.from_numpy(VECTORS)}, tmp_path / "b", _use_new_zipfile_serialization=zipped_file)
        assert kind_of_file(tmp_path / "b").name == name


def test_a_file_that_cannot_be_read_is_left_to_its_reader(tmp_path):
    assert kind_of_file(tmp_path) is None
    assert kind_of_file(tmp_path / "absent") is None


def test_the_message_names_the_format_and_what_to_do():
    with pytest.raises(DataError) as caught:
        refuse_other_kind(kind_of(gzip.compress(b"", mtime=0)), "a.csv", ("text",), "a CSV", AS_ARRAYS)
    assert str(caught.value) == (
        "a.csv: found a file compressed with gzip, expected a CSV. Unpack it (gunzip FILE) and name what was in it in the "
        "catalog."
    )
    with pytest.raises(
        DataError, match=r"found JSON, expected a pickle. Read it with pandas.read_json.* and write the"
    ):
        refuse_other_kind(kind_of(b"{}"), "a", ("pickle",), "a pickle", AS_ARRAYS)
    refuse_other_kind(kind_of(b"{}"), "a", ("json",), "JSON", AS_ARRAYS)
    refuse_other_kind(None, "a", ("json",), "JSON", AS_ARRAYS)
