"""Tables in partitions: whole or absent, finished parts are kept, damage is named."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.compute.local import LocalExecutor
from price_fusion.errors import DataError, StorageError
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.storage.partitions.parts import (
    MANIFEST,
    PartitionPlan,
    Partitions,
    file_name,
    is_finished,
    write_partitions,
)
from price_fusion.storage.sealed import SEAL, json_object, sealed
from price_fusion.storage.store import Store
from support.cluster import PARTITIONS, PARTS, TESTS, make_part, noted, object_store, plan_of, wait_for

__all__ = ["object_store"]

HERE = LocalExecutor(ComputeParameters(workers=1))
EVERY = [str(part) for part in range(PARTS)]
SCRIPT = """
import sys
from pathlib import Path
from price_fusion.storage.partitions.parts import write_partitions
from price_fusion.compute.local import LocalExecutor
from price_fusion.parameters.compute import ComputeParameters
from support.cluster import plan_of

url, log, *recipes = sys.argv[1:]
print("ready", flush=True)
for recipe in recipes:
    plan = plan_of(Path(log), recipe[0], seed=int(recipe[1:]))
    write_partitions(url, plan, LocalExecutor(ComputeParameters(workers=1)))
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "table")


@pytest.fixture
def table(url: str, log: Path) -> Partitions:
    """A finished one, in a folder."""
    return write_partitions(url, plan_of(log), HERE)


def contents(partitions: Partitions) -> dict[int, list[pa.Table]]:
    return {partition: list(partitions.read(partition)) for partition in range(partitions.count)}


def files_of(url: str) -> dict[str, bytes]:
    store = Store(url)
    return {name: store.read(name) for name in store.names()}


def check_table(partitions: Partitions, log: Path, seed: int = 0) -> None:
    """It holds what the task makes, part by part."""
    made = [make_part(str(log), PARTITIONS, part, seed=seed) for part in range(PARTS)]
    found = contents(partitions)
    for partition in range(PARTITIONS):
        expected = [tables[partition] for tables, _ in made if partition in tables]
        assert [one.equals(other) for one, other in zip(found[partition], expected, strict=True)] == [True] * len(
            expected
        )
        assert partitions.rows_in(partition) == sum(map(len, expected))
    assert partitions.rows == sum(len(one) for tables, _ in made for one in tables.values())
    assert partitions.summaries == [dict(summary) for _, summary in made]
    assert (partitions.count, partitions.metadata) == (PARTITIONS, {"about": "tests"})


def test_what_was_written_is_read(table: Partitions, log: Path) -> None:
    check_table(table, log)
    check_table(Partitions(table.url), log)
    assert next(table.read(1, ["id"])).column_names == ["id"]
    assert is_finished(table.url)


def test_others_read_it_as_partitioned_parquet(table: Partitions) -> None:
    import duckdb
    from pyarrow.dataset import dataset, field

    found = dataset(table.url, format="parquet", partitioning="hive", exclude_invalid_files=True)
    assert found.to_table().num_rows == table.rows
    assert found.to_table(filter=field("partition") == 2).num_rows == table.rows_in(2)
    query = f"SELECT count(*) FROM read_parquet('{table.url}/partition=*/*.parquet') WHERE partition = 2"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [(table.rows_in(2),)]


def test_on_an_object_store_it_is_the_same(table: Partitions, object_store: str, log: Path) -> None:
    url = f"{object_store}/{uuid4().hex}/table"
    assert not is_finished(url)
    remote = write_partitions(url, plan_of(log), LocalExecutor(ComputeParameters(workers=2)))
    assert remote.fingerprint == table.fingerprint
    assert files_of(url) == files_of(table.url)
    check_table(remote, log)
    assert is_finished(url)
    log.unlink()
    write_partitions(url, plan_of(log), HERE)
    assert noted(log) == []
    Store(url).remove(file_name(1, 2))
    assert not is_finished(url)
    write_partitions(url, plan_of(log), HERE)
    assert noted(log) == ["2"]
    write_partitions(url, plan_of(log, "b", seed=1), HERE)
    check_table(Partitions(url), log, seed=1)


def test_a_rerun_makes_nothing(table: Partitions, log: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(table.url).rglob("*")}
    again = write_partitions(table.url, plan_of(log), HERE)
    assert noted(log) == EVERY
    assert again.fingerprint == table.fingerprint
    assert before == {path: path.stat().st_mtime_ns for path in Path(table.url).rglob("*")}


def test_after_a_failure_only_what_is_missing_is_made(url: str, log: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="part 3"):
        write_partitions(url, plan_of(log, fails_at=3), HERE)
    assert noted(log) == ["0", "1", "2", "3"]
    assert not is_finished(url)
    with pytest.raises(DataError, match=r"table: no table in partitions here \(no _manifest\.json\)"):
        Partitions(url)
    log.unlink()
    resumed = write_partitions(url, plan_of(log), HERE)
    assert noted(log) == ["3", "4"]
    assert files_of(url) == files_of(write_partitions(str(tmp_path / "other"), plan_of(log), HERE).url)
    check_table(resumed, log)


def test_another_recipe_replaces_everything(table: Partitions, log: Path, tmp_path: Path) -> None:
    names = Store(table.url).names()
    fewer = replace(plan_of(log, "b", seed=1), parts=2)
    replaced = write_partitions(table.url, fewer, HERE)
    assert replaced.fingerprint != table.fingerprint
    left = Store(table.url).names()
    assert len(left) < len(names)
    assert files_of(table.url) == files_of(write_partitions(str(tmp_path / "other"), fewer, HERE).url)


def test_a_failure_of_another_recipe_leaves_no_table(table: Partitions, log: Path) -> None:
    with pytest.raises(ValueError, match="part 0"):
        write_partitions(table.url, plan_of(log, "b", fails_at=0), HERE)
    assert not is_finished(table.url)


def test_files_of_two_recipes_are_never_mixed(table: Partitions, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one dies between the files of a part and its record; files of both have the same size."""
    write = Store.write

    def fail_at_records(store: Store, name: str, contents: bytes) -> None:
        if name.startswith("_records/"):
            raise StorageError("disk full")
        write(store, name, contents)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", fail_at_records)
        with pytest.raises(StorageError, match="disk full"):
            write_partitions(table.url, replace(plan_of(log, "b"), task=other_numbers), HERE)
    check_table(write_partitions(table.url, plan_of(log), HERE), log)


def other_numbers(part: int) -> tuple[dict[int, pa.Table], dict[str, int]]:
    tables, summary = make_part(os.devnull, PARTITIONS, part)
    other = {
        partition: pa.table({"id": one["id"], "vector": pa.array([bytes(8)] * len(one), pa.binary(8))})
        for partition, one in tables.items()
    }
    return other, dict(summary)


def test_parts_can_be_made_here(url: str, log: Path) -> None:
    class Nobody:
        def map(self, *_: object) -> None:
            raise AssertionError("asked for workers")

    values = []
    plan = PartitionPlan(
        lambda part: (values.append(part), make_part(str(log), PARTITIONS, part))[1], 2, PARTITIONS, "a", here=True
    )
    write_partitions(url, plan, Nobody())  # type: ignore[arg-type]
    assert values == [0, 1]


def test_a_table_without_rows(url: str) -> None:
    empty = write_partitions(url, PartitionPlan(no_rows, 1, 4, "a"), HERE)
    assert (empty.rows, contents(empty)) == (0, {0: [], 1: [], 2: [], 3: []})
    assert is_finished(url)


def no_rows(_: int) -> tuple[dict[int, pa.Table], dict[str, int]]:
    return {0: pa.table({"id": pa.array([], pa.int64())})}, {}


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip_a_vector(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    place = damaged.index(bytes(6)) + 1  # of a number below 1,000 in eight bytes
    damaged[place] ^= 1
    path.write_bytes(damaged)


@pytest.mark.parametrize(
    ("damage", "kind", "expected"),
    [
        (remove, DataError, r"missing, going by _manifest\.json\. Run the pipeline that makes it again"),
        (cut, DataError, r"bytes long, expected [\d,]+, going by _manifest\.json"),
        (flip_a_vector, StorageError, "is damaged"),
    ],
)
def test_damage_is_named(
    table: Partitions, damage: Callable[[Path], None], kind: type[Exception], expected: str
) -> None:
    damage(Path(table.url) / file_name(2, 3))
    with pytest.raises(kind, match=rf"table/partition=00002/part-00003\.parquet: .*{expected}"):
        list(table.read(2))
    for partition in (0, 1):
        list(table.read(partition))


@pytest.mark.parametrize("damage", [remove, cut])
def test_what_is_lost_is_made_again(table: Partitions, log: Path, damage: Callable[[Path], None]) -> None:
    damage(Path(table.url) / file_name(2, 3))
    assert not is_finished(table.url)
    log.unlink()
    assert write_partitions(table.url, plan_of(log), HERE).fingerprint == table.fingerprint
    assert noted(log) == ["3"]
    assert is_finished(table.url)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"part": 1}'])
def test_a_damaged_record_does_not_count(table: Partitions, log: Path, text: str) -> None:
    (Path(table.url) / "_records/part-00001.json").write_text(text)
    log.unlink()
    write_partitions(table.url, plan_of(log), HERE)
    assert noted(log) == ["1"]


def test_another_version(table: Partitions, log: Path) -> None:
    path = Path(table.url) / MANIFEST
    manifest = json_object(path.read_bytes())
    del manifest[SEAL]
    path.write_text(sealed({**manifest, "format_version": 1}))
    with pytest.raises(
        DataError, match=r"manifest\.json: table in partitions of format 1; this program reads format 4"
    ):
        Partitions(table.url)
    assert not is_finished(table.url)
    assert write_partitions(table.url, plan_of(log), HERE).fingerprint == table.fingerprint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The manifest of a table, and what it says."""
    folder = tmp_path_factory.mktemp("whole")
    write_partitions(str(folder / "table"), plan_of(folder / "log"), HERE)
    path = folder / "table" / MANIFEST
    return path, path.read_bytes()


@given(data=st.data())
def test_a_flipped_bit_in_the_manifest(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    path, text = whole
    damaged = bytearray(text)
    damaged[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        read = Partitions(str(path.parent))
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    assert json.loads(damaged) == json.loads(text)  # white space
    assert read.recipe == "a"


@pytest.mark.slow
def test_whenever_it_is_killed_there_is_a_whole_table_or_none(tmp_path: Path, log: Path) -> None:
    url = str(tmp_path / "table")
    fingerprints = {
        recipe: write_partitions(str(tmp_path / recipe), plan_of(log, recipe, seed=seed), HERE).fingerprint
        for recipe, seed in (("a", 0), ("b", 1))
    }
    moments = random.Random(7)  # noqa: S311
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for _ in range(6):
        run = subprocess.Popen(
            [sys.executable, script, url, log, *["a0", "b1"] * 500],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
        )
        assert run.stdout is not None
        with run.stdout as said:
            assert said.readline() == b"ready\n"
            wait_for(log.exists)
            time.sleep(moments.uniform(0.0, 1.0))
            run.kill()
            run.wait()
        if Path(url, MANIFEST).exists():
            found = Partitions(url)
            assert is_finished(url)
            assert found.fingerprint == fingerprints[found.recipe]
            contents(found)
    for recipe, seed in (("a", 0), ("b", 1)):
        again = write_partitions(url, plan_of(log, recipe, seed=seed), HERE)
        assert again.fingerprint == fingerprints[recipe]
        check_table(again, log, seed)
        assert files_of(url) == files_of(str(tmp_path / recipe))
    assert list(Path(url).rglob(".*")) == []  # what was half-written is gone
