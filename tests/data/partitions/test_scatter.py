"""What is dealt out to partitions is what the in-memory tables hold."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from price_fusion.data.columns import draft_columns
from price_fusion.data.order import partitions_of
from price_fusion.data.partitions import scatter
from price_fusion.data.partitions.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.partitions.scatter import draft_table_partitions, write_table_partitions
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import Asked
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.errors import AlignmentError, DataError
from price_fusion.parameters import ComputeParameters, SourceParameters
from support.partitions import COMPUTE, COUNT, SOURCES, product_frame, raw_embeddings, write_products, write_tables

WORDS = SOURCES["words"]
SMALL = ComputeParameters(partitions=COUNT, workers=1, memory_gb=1e-6)
"""Blocks of few rows."""


def contents(table: TablePartitions | EmbeddingTable) -> dict[int, tuple[bytes, bytes]]:
    views = [table.partition(number) for number in range(COUNT)] if isinstance(table, TablePartitions) else [table]
    return {
        int(number): (np.concatenate(view.vectors)[row].tobytes(), view.structural[row].tobytes())
        for view in views
        for row, number in enumerate(view.ids)
    }


def in_memory(folder: Path, raw: RawEmbeddings, source: SourceParameters = WORDS) -> EmbeddingTable:
    write_table(folder, "words", draft_table(raw, source))
    return EmbeddingTable(folder)


def dealt(
    folder: Path, raw: RawEmbeddings | ParquetEmbeddings, compute: ComputeParameters = COMPUTE
) -> TablePartitions:
    return write_table_partitions(
        str(folder), "words", draft_table_partitions(raw, WORDS, dtype="float16", compute=compute)
    )


@pytest.mark.parametrize("compute", [COMPUTE, SMALL], ids=["one block", "several blocks"])
def test_partitions_hold_what_the_table_holds(tmp_path: Path, compute: ComputeParameters) -> None:
    raw = raw_embeddings(product_frame(200), WORDS, seed=1)
    partitions = dealt(tmp_path / "partitions", raw, compute)
    assert contents(partitions) == contents(in_memory(tmp_path / "table", raw))
    assert (len(partitions.partitions.summaries) > 1) == (compute is SMALL)
    for number in range(COUNT):
        view = partitions.partition(number)
        assert (partitions_of(view.ids, COUNT) == number).all()
        assert view.rows == len(view.ids) == len(view.vectors[0]) == len(view.structural)
        assert view.rows_of(view.ids[::-1]).tolist() == list(range(view.rows))[::-1]


def test_memory_mapped_embeddings_are_dealt_out_once(tmp_path: Path) -> None:
    raw = raw_embeddings(product_frame(200), WORDS, seed=1)
    np.save(tmp_path / "vectors.npy", raw.vectors)
    mapped = RawEmbeddings(raw.ids, np.load(tmp_path / "vectors.npy", mmap_mode="r"), "vectors.npy")
    first = dealt(tmp_path / "partitions", mapped, SMALL)
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "partitions").rglob("*"))]
    assert dealt(tmp_path / "partitions", mapped, SMALL).fingerprint == first.fingerprint
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "partitions").rglob("*"))] == times
    assert contents(first) == contents(in_memory(tmp_path / "table", raw))


def test_other_vectors_in_a_file_of_the_same_size_and_time_are_dealt_out(tmp_path: Path) -> None:
    """As an archive leaves them, or whoever restores the time of a file that was written again in place."""
    raw = raw_embeddings(product_frame(200), WORDS, seed=1)
    path = tmp_path / "vectors.npy"
    for vectors in (raw.vectors, raw.vectors[::-1]):
        np.save(path, vectors)
        os.utime(path, ns=(10**18, 10**18))
        mapped = RawEmbeddings(raw.ids, np.load(path, mmap_mode="r"), "vectors.npy")
        table = dealt(tmp_path / "partitions", mapped, SMALL)
    assert contents(table) == contents(in_memory(tmp_path / "table", mapped))


def test_parquet_files_are_known_by_their_contents(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    raw = ParquetEmbeddings(str(tmp_path / "raw"))
    found = []
    for contents in (b"contents", b"CONTENTS"):
        (tmp_path / "raw/a.parquet").write_bytes(contents)
        os.utime(tmp_path / "raw/a.parquet", ns=(10**18, 10**18))
        found.append(raw.versions())
    assert found[0] != found[1]
    (tmp_path / "raw/a.parquet").write_bytes(b"contents")
    assert raw.versions() == found[0]  # whatever its time is


def test_values_beyond_float16_keep_float32(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = raw_embeddings(product_frame(50), WORDS, seed=1)
    raw.vectors[7, 2] = 1e6
    partitions = dealt(tmp_path / "partitions", raw, SMALL)
    assert partitions.dtype == "float32"
    assert "keeps float32" in caplog.text
    assert contents(partitions) == contents(in_memory(tmp_path / "table", raw))


def test_values_too_small_for_float16_keep_float32(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = raw_embeddings(product_frame(50), WORDS, seed=1)
    raw.vectors[:, : WORDS.embedding_width] *= 1e-8
    partitions = dealt(tmp_path / "partitions", raw, SMALL)
    assert partitions.dtype == "float32"
    assert "float16 keeps few digits" in caplog.text
    assert contents(partitions) == contents(in_memory(tmp_path / "table", raw))


def test_nan_is_refused_with_its_row(tmp_path: Path) -> None:
    raw = raw_embeddings(product_frame(50), WORDS, seed=1)
    raw.vectors[33, 2] = np.nan
    with pytest.raises(DataError, match=rf"row 33 \(id {raw.ids[33]}\), column 2: found nan"):
        dealt(tmp_path / "partitions", raw, SMALL)
    assert not (tmp_path / "partitions/_manifest.json").exists()


def test_another_width_is_refused(tmp_path: Path) -> None:
    raw = raw_embeddings(product_frame(50), SOURCES["picture"], seed=1)
    with pytest.raises(DataError, match="found vectors of width 5, expected 9"):
        dealt(tmp_path / "partitions", raw)


def test_column_sources_hold_what_their_tables_hold(tmp_path: Path) -> None:
    frame = product_frame(100)
    table = write_tables(tmp_path, write_products(tmp_path / "products", frame), {})["facts"]
    write_table(tmp_path / "in_memory", "facts", draft_columns(frame, SOURCES["facts"], "products"))
    expected = EmbeddingTable(tmp_path / "in_memory")
    assert table.declaration == expected.declaration
    assert contents(table) == contents(expected)


def test_columns_that_are_there_are_known_without_reading_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = product_frame(100)
    products = write_products(tmp_path / "products", frame)
    before = write_tables(tmp_path, products, {})["facts"]
    with monkeypatch.context() as patched:
        patched.setattr(scatter, "_completed", None)
        assert write_tables(tmp_path, products, {})["facts"].fingerprint == before.fingerprint
    changed = write_products(tmp_path / "products", frame.assign(brand=frame["brand"].replace("zenith", "other")))
    assert write_tables(tmp_path, changed, {})["facts"].declaration.vocabulary == {"brand": ("acme", "other")}


@pytest.mark.parametrize("kind", ["list", "fixed list", "binary", "fixed binary"])
def test_parquet_files_of_others_are_dealt_out(tmp_path: Path, kind: str) -> None:
    raw = raw_embeddings(product_frame(100), WORDS, seed=1)
    columns = {
        "list": pa.array(list(raw.vectors)),
        "fixed list": pa.FixedSizeListArray.from_arrays(pa.array(raw.vectors.ravel()), 9),
        "binary": pa.array([row.tobytes() for row in raw.vectors]),
        "fixed binary": pa.array([row.tobytes() for row in raw.vectors], pa.binary(36)),
    }
    table = pa.table({"id": raw.ids, "v": columns[kind]})
    for number, start in enumerate((0, 50)):
        folder = tmp_path / f"raw/day={number}"
        folder.mkdir(parents=True)
        pq.write_table(table.slice(start, 50), folder / "part.parquet", row_group_size=20)
    files = ParquetEmbeddings(str(tmp_path / "raw"), Asked(embeddings="v", ids="id"))
    assert contents(dealt(tmp_path / "partitions", files)) == contents(in_memory(tmp_path / "table", raw))


def test_parquet_files_that_duckdb_wrote_are_dealt_out(tmp_path: Path) -> None:
    raw = raw_embeddings(product_frame(100), WORDS, seed=1)
    rows = pa.table({"id": raw.ids, "v": [row.tobytes() for row in raw.vectors], "day": raw.ids % 3})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.execute("COPY rows TO ? (FORMAT parquet, PARTITION_BY (day))", [str(tmp_path / "raw")])
    files = ParquetEmbeddings(str(tmp_path / "raw"), Asked(embeddings="v", ids="id"))
    assert contents(dealt(tmp_path / "partitions", files)) == contents(in_memory(tmp_path / "table", raw))


def test_parquet_files_without_the_column_are_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table({"sample_id": [1], "title": ["x"]}), tmp_path / "raw/a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: found no column 'embedding', and .*'title'"):
        dealt(tmp_path / "partitions", ParquetEmbeddings(str(tmp_path / "raw")))
    with pytest.raises(DataError, match=r"found no \.parquet file"):
        dealt(tmp_path / "partitions", ParquetEmbeddings(str(tmp_path / "nothing")))


def test_duckdb_reads_partitions_by_their_partition(tmp_path: Path) -> None:
    raw = raw_embeddings(product_frame(100), WORDS, seed=1)
    table = dealt(tmp_path / "partitions", raw)
    files = duckdb.read_parquet(f"{tmp_path}/partitions/partition=*/*.parquet", hive_partitioning=True)
    rows = files.filter("partition = 2").project("sample_id, vector").fetchall()
    view = table.partition(2)
    assert sorted(number for number, _ in rows) == sorted(view.ids.tolist())
    place = view.ids.tolist().index(rows[0][0])
    assert np.frombuffer(rows[0][1], "<f2").tolist() == view.vectors[0][place].tolist()


def test_pyarrow_reads_the_folder(tmp_path: Path) -> None:
    raw = raw_embeddings(product_frame(100), WORDS, seed=1)
    table = dealt(tmp_path / "partitions", raw)
    read = pq.read_table(tmp_path / "partitions", partitioning="hive")
    assert sorted(read["sample_id"].to_pylist()) == sorted(raw.ids.tolist())
    assert (read["partition"].to_numpy() == 2).sum() == table.partition(2).rows


def test_an_id_in_two_files_is_refused_where_products_meet_it(tmp_path: Path) -> None:
    from support.partitions import write_samples

    frame = product_frame(60)
    products = write_products(tmp_path / "products", frame)
    raw = raw_embeddings(frame, WORDS, seed=1)
    (tmp_path / "raw").mkdir()
    table = pa.table({"sample_id": raw.ids, "embedding": list(raw.vectors)})
    pq.write_table(table, tmp_path / "raw/a.parquet")
    pq.write_table(table.slice(4, 1), tmp_path / "raw/b.parquet")
    tables = {"words": dealt(tmp_path / "partitions", ParquetEmbeddings(str(tmp_path / "raw")))}
    with pytest.raises(AlignmentError, match=rf"id\(s\) occur more than once: {raw.ids[4]}"):
        write_samples(tmp_path / "samples", products, tables)
