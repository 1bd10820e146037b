"""Folders on a disk and in an object store: files are whole or absent, and what goes wrong names them."""

from __future__ import annotations

import os
import pickle
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow as pa
import pytest

from price_fusion.errors import MissingPackageError, StorageError
from price_fusion.storage.partitions.parts import parquet_bytes
from price_fusion.storage.store import Store
from support.cluster import forget_stores, object_store, use_store

__all__ = ["object_store"]

TABLE = pa.table(
    {"id": range(1_000), "vector": pa.array([bytes([one % 256] * 16) for one in range(1_000)], pa.binary(16))}
)


@pytest.fixture(params=["disk", "file", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty folder of each kind."""
    if request.param == "s3":
        return Store(f"{request.getfixturevalue('object_store')}/{uuid4().hex}/folder")
    addresses = {"disk": tmp_path / "folder", "file": f"file://{tmp_path}/folder/", "memory": f"memory://{uuid4().hex}"}
    return Store(addresses[request.param])


def test_files_are_read_as_they_were_written(store: Store) -> None:
    assert store.names() == []
    store.write("a.json", b"first")
    store.write("a.json", b"second")
    store.write("deep/er/b.bin", memoryview(b"123"))
    store.write("deep/.hidden", b"")
    assert (store.read("a.json"), store.read("deep/er/b.bin")) == (b"second", b"123")
    assert store.names() == ["a.json", "deep/er/b.bin"]
    assert store.sizes() == {"a.json": 6, "deep/er/b.bin": 3}
    assert [store.size("a.json"), store.size("deep/er/b.bin"), store.size("none")] == [6, 3, None]
    assert Store(f"{store.url}/deep").names() == ["er/b.bin"]


def test_removing_twice_is_no_error(store: Store) -> None:
    store.write("folder/a", b"1")
    store.remove("folder/a")
    store.remove("folder/a")
    assert store.names() == []
    assert store.size("folder/a") is None


def test_what_others_change_is_seen(store: Store) -> None:
    store.write("a", b"1")
    store.names()
    other = pickle.loads(pickle.dumps(store))
    other.write("a", b"123")
    other.write("b", b"2")
    assert (store.size("a"), store.names()) == (3, ["a", "b"])


def test_a_file_that_is_not_there(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("none")
    with pytest.raises(FileNotFoundError), store.parquet("none"):
        pass


def test_parquet_comes_back(store: Store) -> None:
    store.write("a.parquet", parquet_bytes(TABLE))
    with store.parquet("a.parquet") as file:
        assert file.read().equals(TABLE)
    with store.parquet("a.parquet") as file:
        assert file.read(columns=["vector"]).equals(TABLE.select(["vector"]))


@pytest.mark.parametrize("part", ["vector", "id"])
def test_a_flipped_byte_is_noticed(store: Store, part: str) -> None:
    contents = bytearray(parquet_bytes(TABLE))
    place = {"vector": contents.index(bytes([7] * 16)), "id": 150}[part]
    contents[place] ^= 1
    store.write("a.parquet", bytes(contents))
    with (
        pytest.raises(StorageError, match=r"a\.parquet: is damaged, or no parquet file"),
        store.parquet("a.parquet") as file,
    ):
        file.read()


@pytest.mark.parametrize("contents", [b"", b"PAR1", b"no parquet at all" * 9, bytes(parquet_bytes(TABLE))[:-100]])
def test_what_is_no_parquet_is_named(store: Store, contents: bytes) -> None:
    store.write("a.parquet", contents)
    with pytest.raises(StorageError, match=r"a\.parquet: is damaged"), store.parquet("a.parquet") as file:
        file.read()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write("a", b"before")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=r"a: could not be written \(No space left on device"):
        store.write("a", b"after")
    assert store.read("a") == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match=r"a: could not be read \(IsADirectoryError.*disk"):
        Store(tmp_path).read("a")


def test_unknown_stores_are_named() -> None:
    with pytest.raises(StorageError, match="nope://x: is no address of a store"):
        Store("nope://x")
    with pytest.raises(MissingPackageError, match="gs://x: fsspec needs another package"):
        Store("gs://x")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An object store whose server is down."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        use_store(monkeypatch, f"http://127.0.0.1:{free.getsockname()[1]}")
    yield "s3://bucket/folder"
    monkeypatch.undo()
    forget_stores()
    fsspec.config.set_conf_env(fsspec.config.conf)


@pytest.mark.parametrize("what", ["names", "write"])
def test_a_store_that_does_not_answer_is_named_soon(nowhere: str, what: str) -> None:
    began = time.monotonic()
    arguments = {"names": (), "write": ("a", b"1")}.get(what, ("a",))
    with pytest.raises(StorageError, match=r"s3://bucket/folder.*EndpointConnectionError.*FSSPEC_S3_ENDPOINT_URL"):
        getattr(Store(nowhere), what)(*arguments)
    assert time.monotonic() - began < 15


def test_settings_of_the_user_come_first(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf["s3"], "config_kwargs", {"retries": {"total_max_attempts": 1}})
    began = time.monotonic()
    with pytest.raises(StorageError, match="EndpointConnectionError"):
        Store(nowhere).read("a")
    assert time.monotonic() - began < 4  # by default it takes several attempts, and longer pauses


def test_a_bucket_that_is_missing(object_store: str) -> None:
    store = Store("s3://no-such-bucket/folder")
    assert store.names() == []
    assert store.size("a") is None
    with pytest.raises(
        StorageError, match=r"s3://no-such-bucket/folder/a: could not be written .*bucket does not exist"
    ):
        store.write("a", b"1")


def test_wrong_keys(object_store: str) -> None:
    store = Store(f"{object_store}/guarded")
    check_keys_after(b"0")
    try:
        with pytest.raises(
            StorageError, match=r"guarded/a: could not be written \(PermissionError.*its address and keys"
        ):
            store.write("a", b"1")
        with pytest.raises(StorageError, match=r"guarded/a: could not be read \(PermissionError"):
            store.read("a")
    finally:
        check_keys_after(b"inf")
    store.write("a", b"1")


def check_keys_after(requests: bytes) -> None:
    address = f"{os.environ['FSSPEC_S3_ENDPOINT_URL']}/moto-api/reset-auth"
    urllib.request.urlopen(urllib.request.Request(address, requests, {"Content-Type": "text/plain"})).close()  # noqa: S310


def test_a_version_is_that_of_the_contents(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("a", b"contents")
    version = store.version("a")
    os.utime(tmp_path / "a", ns=(10**18, 10**18))
    assert store.version("a") == Store(tmp_path / "a").version("") == version
    store.write("a", b"CONTENTS")
    os.utime(tmp_path / "a", ns=(10**18, 10**18))
    assert store.version("a") != version
    with pytest.raises(FileNotFoundError):
        store.version("b")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"ETag": '"af"', "LastModified": "Monday"}, ["8", '"af"']),
        ({"etag": "0x8", "md5Hash": "af==", "updated": "Monday"}, ["8", "0x8", "af=="]),
        ({"mtime": 5.0}, ["8", "5.0"]),
    ],
)
def test_a_version_in_a_store_is_what_it_says_of_the_contents_or_else_of_times(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, object], expected: list[str]
) -> None:
    store = Store(f"memory://{uuid4().hex}")
    monkeypatch.setattr(store.filesystem, "info", lambda _: {"size": 8, **told})
    assert store.version("a") == expected
