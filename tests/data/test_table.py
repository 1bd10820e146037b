"""Embedding tables: what is written is what is read, and what is half-written is not a table."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from price_fusion.data import table as table_module
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import FORMAT_VERSION, EmbeddingTable, draft_table
from price_fusion.errors import DataError, StorageError
from price_fusion.parameters import SourceParameters
from price_fusion.storage import digests
from price_fusion.storage.files import remove_leftovers, sha256
from price_fusion.storage.sealed import SEAL, sealed

MakeTable = Callable[..., EmbeddingTable]

VECTORS = np.arange(30, dtype=np.float32).reshape(6, 5) / 4
IDS = [40, 10, 60, 20, 50, 30]


def sha256_of(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def whole(table: EmbeddingTable) -> NDArray[np.floating[Any]]:
    return np.concatenate(table.vectors)


@given(
    rows=st.integers(1, 40),
    width=st.integers(1, 6),
    structural=st.integers(0, 3),
    rows_per_shard=st.integers(1, 45),
    dtype=st.sampled_from(["float16", "float32"]),
    stored=st.sampled_from(["<f2", "<f4", "<f8", ">f4"]),
    seed=st.integers(0, 99),
)
def test_round_trip(
    make_table: MakeTable,
    rows: int,
    width: int,
    structural: int,
    rows_per_shard: int,
    dtype: str,
    stored: str,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(rows, width + structural)).astype(stored)
    ids = generator.permutation(rows * 5)[:rows] - 7
    table = make_table(ids, vectors, structural_columns=structural, rows_per_shard=rows_per_shard, dtype=dtype)
    np.testing.assert_array_equal(table.ids, ids)
    np.testing.assert_array_equal(whole(table), vectors[:, :width].astype(dtype))
    np.testing.assert_array_equal(table.structural, vectors[:, width:].astype(np.float32))
    assert [len(shard) for shard in table.vectors[:-1]] == [rows_per_shard] * ((rows - 1) // rows_per_shard)
    assert {array.dtype for array in table.vectors} == {np.dtype(dtype)}
    assert (table.rows, table.width, table.structural_columns, table.dtype) == (rows, width, structural, dtype)
    assert table.structural.shape == (rows, structural)


def test_blocks_smaller_than_a_shard_change_nothing(make_table: MakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    once = make_table(IDS, VECTORS, structural_columns=2, rows_per_shard=4)
    monkeypatch.setattr(table_module, "BLOCK_ROWS", 1)
    in_blocks = make_table(IDS, VECTORS, structural_columns=2, rows_per_shard=4)
    np.testing.assert_array_equal(whole(once), whole(in_blocks))
    assert once.fingerprint == in_blocks.fingerprint


def test_says_where_it_came_from(make_table: MakeTable) -> None:
    table = make_table(IDS, VECTORS, source="words", structural_columns=2)
    assert (table.source, table.origin) == ("words", "words.npy")
    assert table.declaration == SourceParameters(width=5, group="text", structural_columns=2)


def test_files_are_as_documented(make_table: MakeTable) -> None:
    table = make_table(IDS, VECTORS, structural_columns=2, rows_per_shard=4)
    names = ["ids.npy", "manifest.json", "structural.npy", "vectors-00000.npy", "vectors-00001.npy"]
    assert sorted(path.name for path in table.folder.iterdir()) == names
    assert np.load(table.folder / "ids.npy").dtype == np.int64
    assert np.load(table.folder / "vectors-00001.npy").flags.c_contiguous
    recorded = table.manifest["sha256"] | {shard["file"]: shard["sha256"] for shard in table.manifest["shards"]}
    assert recorded == {name: sha256(table.folder / name) for name in names if name != "manifest.json"}


def test_vectors_are_memory_mapped_and_changes_do_not_reach_the_file(make_table: MakeTable) -> None:
    table = make_table(IDS, VECTORS)
    assert isinstance(table.vectors[0], np.memmap)
    table.vectors[0][:] = 99
    np.testing.assert_array_equal(whole(EmbeddingTable(table.folder)), VECTORS)


def test_fingerprint_follows_ids_and_values(make_table: MakeTable) -> None:
    first = make_table(IDS, VECTORS).fingerprint
    assert make_table(IDS, VECTORS).fingerprint == first
    assert make_table(IDS[::-1], VECTORS).fingerprint != first
    assert make_table(IDS, VECTORS + 1).fingerprint != first


@given(
    chosen=st.sets(st.integers(0, 5)),
    rows_per_shard=st.sampled_from([1, 2, 4, 5, 1_000]),
    structural=st.sampled_from([0, 2]),
    text=st.booleans(),
    seed=st.integers(0, 99),
)
def test_fingerprint_of_products_is_that_of_a_table_of_their_rows(
    make_table: MakeTable, chosen: set[int], rows_per_shard: int, structural: int, text: bool, seed: int
) -> None:
    options: dict[str, Any] = {"structural_columns": structural, "rows_per_shard": rows_per_shard}
    ids = np.array(["p", "q" * 7, "r2", "s", "t" * 3, "u"]) if text else np.array(IDS)
    table, rows = make_table(ids, VECTORS, **options), sorted(chosen)
    strangers = np.array(["x" * 9]) if text else np.array([7])
    wanted = np.random.default_rng(seed).permutation(np.concatenate([ids[rows], strangers]))
    found = table.fingerprint_of(wanted)
    assert (found == table.fingerprint) == (len(rows) == len(ids))
    if rows:
        assert found == make_table(ids[rows], VECTORS[rows], **options).fingerprint


def test_values_beyond_float16_keep_float32_with_a_warning(
    make_table: MakeTable, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = VECTORS.copy()
    vectors[4, 2] = -70_000
    with caplog.at_level(logging.WARNING):
        table = make_table(IDS, vectors, rows_per_shard=3)
    assert table.dtype == "float32"
    np.testing.assert_array_equal(whole(table), vectors)
    assert "words.npy: a value of magnitude 70000 does not fit float16" in caplog.text
    assert "'words' keeps float32" in caplog.text


def test_values_too_small_for_float16_keep_float32_with_a_warning(
    make_table: MakeTable, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = (VECTORS * 1e-8).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        table = make_table(IDS, tiny)
    assert table.dtype == "float32"
    np.testing.assert_array_equal(whole(table), tiny)
    assert "float16 keeps few digits" in caplog.text


def test_a_few_small_rows_and_small_float16_itself_stay_float16(
    make_table: MakeTable, caplog: pytest.LogCaptureFixture
) -> None:
    one_small = VECTORS.astype(np.float32)
    one_small[0] *= 1e-8
    assert make_table(IDS, one_small).dtype == "float16"
    assert make_table(IDS, (VECTORS * 1e-6).astype(">f2")).dtype == "float16"
    assert make_table(IDS, np.zeros_like(VECTORS)).dtype == "float16"
    assert not caplog.records


def test_structural_columns_stay_float32_beside_float16(
    make_table: MakeTable, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = VECTORS.copy()
    vectors[4, 4] = 1e6
    table = make_table(IDS, vectors, structural_columns=1)
    assert (table.dtype, table.structural.dtype.name) == ("float16", "float32")
    assert table.structural[4, 0] == 1e6
    assert not caplog.records


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("column", [1, 4])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_names_the_place_of_what_is_no_number(make_table: MakeTable, value: float, column: int, dtype: str) -> None:
    vectors = VECTORS.astype(np.float64)
    vectors[[3, 5], column] = value
    vectors[5, 0] = 1e5
    with pytest.raises(DataError) as caught:
        make_table(IDS, vectors, structural_columns=2, dtype=dtype, rows_per_shard=4)
    assert f"words.npy: row 3 (id 20), column {column}: found {value}" in str(caught.value)


def test_a_failed_write_keeps_the_old_table(make_table: MakeTable, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    make_table(IDS, VECTORS, folder=folder)
    with pytest.raises(DataError):
        make_table(IDS, VECTORS * np.nan, folder=folder)
    assert [path.name for path in tmp_path.iterdir()] == ["words"]
    np.testing.assert_array_equal(whole(EmbeddingTable(folder)), VECTORS)


def test_a_new_table_replaces_the_old_one_whole(make_table: MakeTable, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    make_table(IDS, VECTORS, folder=folder, structural_columns=2, rows_per_shard=1)
    table = make_table([1, 2], VECTORS[:2, :3], folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["ids.npy", "manifest.json", "vectors-00000.npy"]
    assert table.ids.tolist() == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


def test_what_a_dead_process_left_does_not_hinder(make_table: MakeTable, tmp_path: Path) -> None:
    partial = tmp_path / ".words.77.partial"
    partial.mkdir()
    (partial / "vectors-00007.npy").write_bytes(b"half")
    table = make_table(IDS, VECTORS, folder=tmp_path / "words")
    assert not (table.folder / "vectors-00007.npy").exists()
    assert remove_leftovers(tmp_path) == [partial]
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


def test_without_a_manifest_it_is_no_table(make_table: MakeTable) -> None:
    folder = make_table(IDS, VECTORS).folder
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"no embedding table here \(no manifest.json\). Run the pipeline 'ingest'"):
        EmbeddingTable(folder)


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "a list, expected an object"),
        (b'{"format_version": 1}', "embedding table of format 1; this program reads format 2"),
        (b'{"format_version": 2}', "sha256 of its contents is .* expected None"),
    ],
)
def test_a_damaged_manifest_is_named(make_table: MakeTable, contents: bytes, expected: str) -> None:
    path = make_table(IDS, VECTORS).folder / "manifest.json"
    path.write_bytes(contents)
    with pytest.raises(DataError, match=expected + ".*Run the pipeline 'ingest' again") as caught:
        EmbeddingTable(path.parent)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["ids.npy", "structural.npy", "vectors-00000.npy"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other"])
def test_a_damaged_file_is_named(make_table: MakeTable, name: str, damage: str) -> None:
    table = make_table(IDS, VECTORS, structural_columns=2)
    path = table.folder / name
    contents = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(contents[:-1])
    elif damage == "other":
        np.save(path, np.zeros((2, 2)))
    expected = "missing" if damage == "missing" else f"expected {sha256_of(contents)[:12]}"
    for use in (lambda: EmbeddingTable(table.folder), lambda: (table.ids, table.structural, table.vectors)):
        with pytest.raises(DataError, match=rf"{expected}, going by .*Run the pipeline 'ingest' again") as caught:
            use()
        assert str(path) in str(caught.value)


def test_refuses_another_width_than_declared() -> None:
    raw = RawEmbeddings.from_arrays(IDS, VECTORS, "a.npy")
    with pytest.raises(DataError, match=r"a.npy: found vectors of width 5, expected 4 .*sources.<source>.width"):
        draft_table(raw, SourceParameters(width=4, group="text"))


def test_manifest_is_plain_json(make_table: MakeTable) -> None:
    table = make_table(IDS, VECTORS)
    contents = json.loads((table.folder / "manifest.json").read_text())
    assert contents == {"format_version": FORMAT_VERSION} | table.manifest | {SEAL: contents[SEAL]}


def test_shards_that_were_exchanged_are_noticed(make_table: MakeTable) -> None:
    folder = make_table(IDS, VECTORS, rows_per_shard=3).folder
    first, second, between = (folder / name for name in ("vectors-00000.npy", "vectors-00001.npy", "between"))
    first.rename(between)
    second.rename(first)
    between.rename(second)
    with pytest.raises(DataError, match=r"vectors-00000\.npy: damaged or exchanged"):
        EmbeddingTable(folder)


# --- when files are hashed -------------------------------------------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were hashed, as they come."""
    names: list[str] = []

    def noted(path: Path) -> str:
        names.append(path.name)
        return sha256(path)

    monkeypatch.setattr(digests, "sha256", noted)
    return names


@pytest.fixture
def old_table(make_table: MakeTable, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of two files that count as written long ago, and so does what changes."""
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**10))
    folder = make_table(IDS, VECTORS).folder
    monkeypatch.setattr(digests, "_known", {})
    return folder


def flip(path: Path, *, mtime_ns: int | None = None) -> None:
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_process_hashes_a_version_of_a_file_once(old_table: Path, hashed: list[str]) -> None:
    for _ in range(3):
        EmbeddingTable(old_table)
    assert hashed == ["ids.npy", "vectors-00000.npy"]
    flip(old_table / "ids.npy", mtime_ns=10**18 + 1)
    with pytest.raises(DataError, match=r"ids\.npy: damaged"):
        EmbeddingTable(old_table)
    assert hashed == ["ids.npy", "vectors-00000.npy", "ids.npy"]


def test_files_that_changed_moments_ago_are_hashed_each_time(make_table: MakeTable, hashed: list[str]) -> None:
    folder = make_table(IDS, VECTORS).folder
    hashed.clear()
    EmbeddingTable(folder)
    EmbeddingTable(folder)
    assert len(hashed) == 4


def test_once_hashes_a_version_of_a_file_once_in_all_processes(
    old_table: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        monkeypatch.setattr(digests, "_known", {})  # as in another process
        np.testing.assert_array_equal(whole(EmbeddingTable(old_table, "once")), VECTORS)
    assert hashed == ["ids.npy", "vectors-00000.npy"]
    for change in (1, 2):
        flip(old_table / "ids.npy", mtime_ns=10**18 + change)
        monkeypatch.setattr(digests, "_known", {})
        if change == 1:
            with pytest.raises(DataError, match=r"ids\.npy: damaged"):
                EmbeddingTable(old_table, "once")
    EmbeddingTable(old_table, "once")
    assert hashed[2:] == ["ids.npy", "ids.npy"]
    (old_table / "ids.npy").unlink()
    with pytest.raises(DataError, match=r"ids\.npy: missing"):
        EmbeddingTable(old_table, "once")


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "of another version"])
def test_a_damaged_record_of_checks_is_no_record(
    old_table: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    EmbeddingTable(old_table, "once")
    record = old_table / digests.RECORD
    contents = record.read_bytes()
    if damage == "flipped":
        record.write_bytes(contents.replace(b'"size": ', b'"size": 1', 1))
    elif damage == "of another version":
        record.write_text(sealed({"format_version": 9, "entries": 7}))
    else:
        record.write_bytes(contents[: len(contents) // 2 if damage == "cut" else 0])
    hashed.clear()
    monkeypatch.setattr(digests, "_known", {})
    EmbeddingTable(old_table, "once")
    assert hashed == ["ids.npy", "vectors-00000.npy"]
    assert record.read_bytes() == contents


def test_a_record_that_cannot_be_written_costs_hashing_again(
    old_table: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, contents: bytes) -> None:
        raise StorageError(f"{path}: could not be written (Read-only file system).")

    monkeypatch.setattr(digests, "write_whole", refuse)
    EmbeddingTable(old_table, "once")
    assert "is hashed again next time" in caplog.text
    assert "Read-only file system" in caplog.text


@given(
    known=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20), unique=True, min_size=1, max_size=30),
    asked=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20), max_size=40),
    data=st.data(),
)
def test_rows_of_any_ids(make_table: MakeTable, known: list[int], asked: list[int], data: st.DataObject) -> None:
    table = make_table(data.draw(st.permutations(known)), np.ones((len(known), 1)))
    ids = data.draw(st.permutations([*asked, *known]))
    rows = table.rows_of(np.array(ids, dtype=np.int64))
    reference = {int(number): row for row, number in enumerate(table.ids)}
    assert rows.dtype == np.int64
    assert rows.tolist() == [reference.get(number, -1) for number in ids]
