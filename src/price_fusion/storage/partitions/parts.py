"""The form of partitioned tables, and how they are written.

::

    _manifest.json                         written last: what the table is, and its files
    partition=00003/part-00000.parquet        rows of partition 3
    _records/part-00000.json               what part 0 wrote, as soon as it is written

A *part* is what one task writes: a partition of a table that is computed partition by partition, or a block of rows, spread over all
partitions, of a raw file that is dealt out. Parts are written each as a whole, so that a rerun of the same *recipe* goes on with
those that are missing. Anything that reads partitioned parquet reads the partitions; pages carry checksums.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from price_fusion.compute import Executor, executor_of
from price_fusion.compute.progress import tracked
from price_fusion.errors import DataError
from price_fusion.parameters import ComputeParameters
from price_fusion.storage.files import remove_leftovers
from price_fusion.storage.manifests import ManifestKind
from price_fusion.storage.sealed import json_object, sealed, unsealed
from price_fusion.storage.store import Store

logger = logging.getLogger(__name__)

FORMAT_VERSION = 4
MANIFEST = "_manifest.json"
ORIGIN = "origin"
"""What metadata call the file or folder that a table came from."""
AGAIN = "Run the pipeline that makes it again."
KIND = ManifestKind("table in partitions", MANIFEST, FORMAT_VERSION, DataError, AGAIN, AGAIN)

Tables = Mapping[int, pa.Table] | Iterator[tuple[int, pa.Table]]
"""Rows by partition; one at a time where they do not all fit in memory."""
Summary = Mapping[str, Any]
"""What JSON can hold."""
Task = Callable[[int], tuple[Tables, Summary]]
"""Makes the part of a number: its rows by partition, and what is to be remembered of them. Must survive pickling."""


@dataclass(frozen=True)
class PartitionPlan:
    """A table about to be written; nothing of it is computed yet."""

    task: Task
    parts: int
    partitions: int
    recipe: str
    """Digest of all that decides the contents."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What readers must know of the table; what JSON can hold."""
    here: bool = False
    """Whether parts are made by this process: of data that workers do not have."""
    complete: Callable[[PartitionPlan, Executor], PartitionPlan] | None = None
    """Finds what ``task`` and ``metadata`` still lack, where that takes a pass over the inputs; called only if the table, or
    a part of it, has to be written. The recipe says it already: it must follow from what the recipe describes."""


@dataclass(frozen=True)
class PartitionDraft:
    """What a node gives instead of a table that does not fit in memory: saving it computes and writes it."""

    plan: PartitionPlan
    compute: ComputeParameters


class Partitions:
    """A partitioned table on disk. Opening reads its manifest alone.

    Args:
        url: of its folder.

    Raises:
        DataError: if there is none, it is unfinished or damaged, or of another version.
        StorageError: if its store cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Store(url)
        self._manifest = _read_manifest(self.store)
        self.count: int = self._manifest["partitions"]
        self.metadata: dict[str, Any] = self._manifest["metadata"]
        self.recipe: str = self._manifest["recipe"]

    def __reduce__(self) -> tuple[Callable[[str, str], Partitions], tuple[str, str]]:
        return _reopened, (self.url, self.recipe)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what the table is and holds, wherever it came from."""
        files = [(one["file"], one["sha256"]) for part in self._manifest["parts"] for one in part["files"]]
        meaning = {name: value for name, value in self.metadata.items() if name != ORIGIN}
        return hashlib.sha256(repr((self.count, meaning, sorted(files))).encode()).hexdigest()

    @property
    def origin(self) -> str:
        """The raw file or folder it came from, for messages."""
        return str(self.metadata.get(ORIGIN, self.url))

    @property
    def summaries(self) -> list[dict[str, Any]]:
        """What was remembered of each part, in their order."""
        return [part["summary"] for part in self._manifest["parts"]]

    @property
    def file_names(self) -> list[str]:
        """All files, within the folder."""
        return [one["file"] for partition in sorted(self._files) for one in self._files[partition]]

    @property
    def rows(self) -> int:
        """Of all partitions."""
        return sum(self.rows_in(partition) for partition in range(self.count))

    def rows_in(self, partition: int) -> int:
        """Of one partition."""
        return sum(one["rows"] for one in self._files.get(partition, ()))

    def read(self, partition: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a partition, one table a file, in the order of the parts; the next is read when it is asked for.

        Args:
            partition: its number.
            columns: to read; all by default.

        Raises:
            DataError: if one of its files is missing, or is another than the one that was written.
            StorageError: if one cannot be read, or its pages are damaged.
        """
        return (self._read_file(one, columns) for one in self._files.get(partition, ()))

    @cached_property
    def _files(self) -> dict[int, list[dict[str, Any]]]:
        files: dict[int, list[dict[str, Any]]] = {}
        for part in self._manifest["parts"]:
            for one in part["files"]:
                files.setdefault(one["partition"], []).append(one)
        return files

    def _read_file(self, expected: Mapping[str, Any], columns: list[str] | None) -> pa.Table:
        name = expected["file"]
        try:
            found = self.store.size(name)
            if found != expected["bytes"]:
                what = "missing" if found is None else f"{found:,} bytes long, expected {expected['bytes']:,}"
                raise DataError(f"{self.url}/{name}: {what}, going by {MANIFEST}. {AGAIN}")
            with self.store.parquet(name) as file:
                table = file.read(columns=columns, use_threads=False)
        except FileNotFoundError as error:
            raise DataError(f"{self.url}/{name}: missing, going by {MANIFEST}. {AGAIN}") from error
        if len(table) != expected["rows"]:
            raise DataError(
                f"{self.url}/{name}: {len(table):,} rows, expected {expected['rows']:,}, going by {MANIFEST}. {AGAIN}"
            )
        return table


@lru_cache(maxsize=32)
def _reopened(url: str, recipe: str) -> Partitions:
    """The table that was handed to this process, opened once for all tasks that are about it."""
    partitions = Partitions(url)
    if partitions.recipe != recipe:
        raise DataError(f"{url}: has become another table while this run was using it. Give the same command again.")
    return partitions


def recipe(kind: str, described: Mapping[str, Any]) -> str:
    """Digest of what decides the contents of a table: a rerun of the same goes on, another begins anew.

    Args:
        kind: of table, with the number of the version of the code that makes it: raise it when that makes something else.
        described: what it is made from; what JSON can hold.
    """
    return hashlib.sha256(json.dumps({"kind": kind, **described}, sort_keys=True).encode()).hexdigest()


def write_draft(url: str, draft: PartitionDraft) -> Partitions:
    """Compute and write a table, as ``write_partitions``; an executor is connected to only if something is missing."""
    return write_partitions(url, draft.plan, executor_of(draft.compute))


def write_partitions(url: str, plan: PartitionPlan, executor: Executor) -> Partitions:
    """Write a table; parts that an interrupted run of the same recipe has finished are kept.

    Args:
        url: of its folder.
        plan: what to write.
        executor: that makes the parts.

    Raises:
        StorageError: if it cannot be written. Finished parts are kept.
        ComputeError: if workers die again and again. Likewise.
    """
    store = Store(url)
    finished = _finished_parts(store, plan)
    missing = [part for part in range(plan.parts) if part not in finished]
    if not missing and _is_of(store, plan):
        return Partitions(url)
    if plan.complete:
        plan = plan.complete(plan, executor)
    # Without its manifest the table counts as missing, whatever happens from here on.
    store.remove(MANIFEST)
    if finished and missing:
        logger.info("%s: %d of %d parts are there already", url, len(finished), plan.parts)
    write = partial(_write_part, store, plan)
    label = f"writing {url}"
    here = tracked(map(write, missing), label, "parts", total=len(missing))
    for record in here if plan.here else executor.map(write, missing, label, "parts"):
        finished[record["part"]] = record
    _write_manifest(store, plan, finished)
    return Partitions(url)


def is_finished(url: str) -> bool:
    """Whether a table is there, with all its files."""
    try:
        partitions = Partitions(url)
    except DataError:
        return False
    there = partitions.store.sizes()
    return all(there.get(one["file"]) == one["bytes"] for files in partitions._files.values() for one in files)


def file_name(partition: int, part: int) -> str:
    """Where a part's rows of a partition are, within the table's folder."""
    return f"partition={partition:05d}/part-{part:05d}.parquet"


def _record_name(part: int) -> str:
    return f"_records/part-{part:05d}.json"


def _write_part(store: Store, plan: PartitionPlan, part: int) -> dict[str, Any]:
    """Make and write one part, and then its record."""
    tables, summary = plan.task(part)
    # If this ends in the middle, files of two recipes lie here: an old record must not vouch for new ones.
    store.remove(_record_name(part))
    pairs = sorted(tables.items()) if isinstance(tables, Mapping) else tables
    files = [_write_file(store, partition, part, table) for partition, table in pairs if len(table)]
    record = {"part": part, "recipe": plan.recipe, "files": files, "summary": dict(summary)}
    store.write(_record_name(part), (sealed(record) + "\n").encode())
    return record


def _write_file(store: Store, partition: int, part: int, table: pa.Table) -> dict[str, Any]:
    name = file_name(partition, part)
    contents = parquet_bytes(table)
    store.write(name, contents)
    digest = hashlib.sha256(contents).hexdigest()
    return {"partition": partition, "file": name, "rows": len(table), "bytes": len(contents), "sha256": digest}


def parquet_bytes(table: pa.Table) -> memoryview:
    """A table as a parquet file: binary columns plain and as they are, the others compressed, pages with checksums."""
    plain = [one.name for one in table.schema if pa.types.is_fixed_size_binary(one.type)]
    others = [name for name in table.column_names if name not in plain]
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(None),  # versions of pandas would be part of the contents
        buffer,
        compression={name: "NONE" if name in plain else "ZSTD" for name in table.column_names},
        use_dictionary=others,
        write_statistics=others,
        write_page_checksum=True,
        data_page_size=8 << 20,
    )
    return buffer.getbuffer()


def _finished_parts(store: Store, plan: PartitionPlan) -> dict[int, dict[str, Any]]:
    """Records of the parts that are there, of this recipe, with all their files."""
    there = store.sizes()
    finished = {}
    for part in range(plan.parts):
        name = _record_name(part)
        if name not in there:
            continue
        try:
            record = unsealed(json_object(store.read(name)))
        except (FileNotFoundError, ValueError):
            continue
        whole = all(there.get(one["file"]) == one["bytes"] for one in record["files"])
        if record["recipe"] == plan.recipe and whole:
            finished[part] = record
    return finished


def _is_of(store: Store, plan: PartitionPlan) -> bool:
    try:
        manifest = _read_manifest(store)
    except DataError:
        return False
    return manifest["recipe"] == plan.recipe and len(manifest["parts"]) == plan.parts


def _write_manifest(store: Store, plan: PartitionPlan, records: Mapping[int, Mapping[str, Any]]) -> None:
    parts = [{key: records[part][key] for key in ("files", "summary")} for part in range(plan.parts)]
    named = {one["file"] for part in parts for one in part["files"]} | {
        _record_name(part) for part in range(plan.parts)
    }
    for name in store.names():  # of an earlier recipe
        if name not in named and name.startswith(("partition=", "_records/")):
            store.remove(name)
    if store.is_local:
        remove_leftovers(store.path)  # of workers that were killed
    manifest = {
        "partitions": plan.partitions,
        "recipe": plan.recipe,
        "metadata": dict(plan.metadata),
        "parts": parts,
    }
    store.write(MANIFEST, KIND.document(manifest, indent=None))


def _read_manifest(store: Store) -> dict[str, Any]:
    try:
        text = store.read(MANIFEST)
    except FileNotFoundError as error:
        raise KIND.missing(store.url) from error
    return KIND.parsed(text, f"{store.url}/{MANIFEST}", dict)
