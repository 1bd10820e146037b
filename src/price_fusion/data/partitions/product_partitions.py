"""Product tables in partitions, brought there by DuckDB: with their groups and splits, of files that do not fit in memory.

DuckDB deals the file's rows out to one parquet file a partition, finds the groups, and draws the splits; the rows of a partition
are then checked, and given their types, as those of a table in memory are.

Columns, in canonical order: ``sample_id`` (int64 if all ids of the file are whole numbers, else string), ``row``
(of the file, from 0), ``catalog_content``, ``image_link`` and further columns (string, empty where missing), ``group_key``
(the smallest ``row`` of the group) and, where labelled, ``price``, ``split``, ``fold``, ``half`` (of validation rows: 0 stops,
1 calibrates where training selects; -1 otherwise) and ``tuned_on``. Splits, folds and halves are those of memory: of each group
its name, price and size are held at once, which takes some 120 bytes.
"""
# ruff: noqa: S608 - the SQL is made of our own names and numbers, and of quoted ones

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from price_fusion.data.columns import number_format
from price_fusion.data.groups.dealing import Groups
from price_fusion.data.groups.keys import is_large, warn_of_group
from price_fusion.data.ids import Ids
from price_fusion.data.order import key_sql, partition_sql
from price_fusion.data.partitions.labels import LABELS, label_summary
from price_fusion.data.partitions.partition_checks import checked, refuse_lookalikes, refuse_twins
from price_fusion.data.partitions.partition_groups import find_groups
from price_fusion.data.partitions.product_files import ProductFiles, ProductSource, opened, versions_of
from price_fusion.data.prices import prices_of
from price_fusion.data.readers.column_names import IMAGE, PRICE, TEXT
from price_fusion.data.readers.layout import Layout
from price_fusion.data.roles import halves
from price_fusion.data.splits import SPLITS, refuse_empty_splits, split_groups
from price_fusion.errors import DataError, ParameterError
from price_fusion.lazy import pd
from price_fusion.parameters import SplittingParameters
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.storage.partitions.parts import PartitionPlan, Summary, Tables, recipe
from price_fusion.storage.workspace import Workspace, duckdb_errors, file_list, quoted

BATCH = 65_536
"""Rows that DuckDB hands over at a time; texts of more than 2 GB would not fit in one batch."""
_BYTES_A_ROW = 20_000
"""Memory that a row may take that waits to be written, with all that is copied of it."""


def product_plan(
    files: ProductFiles,
    *,
    compute: ComputeParameters,
    spill: Path,
    splitting: SplittingParameters | None,
    tuned_on: Mapping[str, Ids],
    seed: int,
) -> PartitionPlan:
    """A product table about to be written, a part a partition, by this process.

    Args:
        files: to read.
        compute: how many partitions, and what memory.
        spill: folder in which DuckDB works; what it puts there is removed.
        splitting: of labelled products.
        tuned_on: per source, the ids that its encoder was tuned on; their groups go to train.
        seed: of the splits.

    Raises:
        DataError: if the files are not there. What else can be wrong with them is found by the first part: as
            ``read_products`` would, a partition at a time.
        ParameterError: if the parameters do not say how many partitions, or how labelled products are divided.
    """
    if files.labelled and splitting is None:
        raise ParameterError(f"{files.url}: labelled products without 'splitting', expected how they are divided.")
    splitting = splitting if files.labelled else None
    partitions = compute.partition_count
    made_by = _recipe(files, partitions, splitting, tuned_on, seed)
    folder = spill / f"products-{made_by[:12]}"
    return PartitionPlan(
        task=_Products(
            files, partitions, compute.memory_bytes, folder, splitting, tuned_on if files.labelled else {}, seed
        ),
        parts=partitions,
        partitions=partitions,
        recipe=made_by,
        metadata={"origin": files.url, "labelled": files.labelled}
        | number_format(files.layout)
        | files.names.attributes,
        here=True,
    )


def _recipe(
    files: ProductFiles,
    partitions: int,
    splitting: SplittingParameters | None,
    tuned_on: Mapping[str, Ids],
    seed: int,
) -> str:
    layout = files.layout
    contents = {
        "url": files.url,
        "files": list(versions_of(files).items()),
        "labelled": files.labelled,
        "columns": [files.names.id, files.names.price, files.names.text, files.names.image, files.names.template],
        "rows": files.rows,
        "layout": [layout.delimiter, layout.encoding, layout.decimal, layout.thousands],
        "partitions": partitions,
        "splitting": splitting.model_dump(mode="json") if splitting else None,
        "seed": seed,
        "tuned_on": {source: _digest(ids) for source, ids in sorted(tuned_on.items())},
    }
    return recipe("products 4", contents)


def _digest(ids: Ids) -> str:
    return hashlib.sha256("\n".join(sorted(set(map(str, ids.tolist())))).encode()).hexdigest()


@dataclass
class _Products:
    """Makes the parts of a product table; what DuckDB has found is kept from one to the next."""

    files: ProductFiles
    partitions: int
    memory_bytes: int
    folder: Path
    splitting: SplittingParameters | None
    """None where products are not labelled."""
    tuned_on: Mapping[str, Ids]
    seed: int
    _workspace: Workspace | None = field(default=None, init=False)
    _source: ProductSource = field(init=False)
    _whole_numbers: bool = field(init=False)

    def __call__(self, part: int) -> tuple[Tables, Summary]:
        with self._closing(last=part == self.partitions - 1):
            if self._workspace is None:
                self._workspace = Workspace(self.folder, self.memory_bytes)
                self._prepare(self._workspace)
            table = self._partition(self._workspace, part)
        return {part: table}, self._summary(table)

    @contextmanager
    def _closing(self, last: bool) -> Iterator[None]:
        done = False
        try:
            with duckdb_errors(self.files.url, self.folder):
                yield
                done = not last
        finally:
            if not done and self._workspace is not None:
                self._workspace.close()
                self._workspace = None

    def _prepare(self, workspace: Workspace) -> None:
        self._source = opened(self.files, workspace)
        self._deal_out(workspace)
        if not self._paths():
            raise DataError(
                f"{self.files.url}: found a header and no products, expected at least one. Write the file again."
            )
        products = self._all_products()
        whole = "coalesce(CAST(TRY_CAST(c0 AS BIGINT) AS VARCHAR) = c0, false)"
        self._whole_numbers = bool(workspace.value(f"SELECT bool_and({whole}) FROM {products}"))
        if not self._whole_numbers:
            refuse_twins(workspace, products, self.files.url)
        find_groups(workspace, products, ["c2", "c1"])
        self._warn_of_large_group(workspace, products)
        self._find_tuned(workspace, products)
        price = "price, " if self.splitting is not None else ""
        workspace.run(
            f"CREATE TABLE keyed AS SELECT row, partition, {key_sql('c0')} AS name, {price}coalesce(label, row) AS group_key, "
            f"c0 IN (SELECT id FROM tuned_ids) AS tuned_on FROM {products} LEFT JOIN labels USING (row)"
        )
        workspace.run("DROP TABLE labels")
        self._draw_splits(workspace)

    def _deal_out(self, workspace: Workspace) -> None:
        """Read the file, once, into a parquet file a partition."""
        rows = min(max(self.memory_bytes // _BYTES_A_ROW, 2_048), 500_000)
        workspace.run(f"SET partitioned_write_flush_threshold = {rows}")
        workspace.run(f"SET partitioned_write_max_open_files = {max(self.partitions, 100)}")
        workspace.run(
            f"COPY (SELECT *, {self._price_sql(workspace)}{partition_sql('c0', self.partitions)} AS partition "
            f"FROM ({self._source.sql})) TO {quoted(str(workspace.folder / 'dealt'))} (FORMAT parquet, PARTITION_BY (partition))"
        )
        if self._source.temporary is not None:
            self._source.temporary.unlink()
        # From here on, rows are known by their numbers.
        workspace.run("SET preserve_insertion_order = false")

    def _price_sql(self, workspace: Workspace) -> str:
        """The price of a row as a number, which decides the stratum of its group, where that is wanted."""
        if self.splitting is None:
            return ""
        from duckdb.func import PythonUDFType

        workspace.connection.create_function(
            "price_of", partial(_prices, self._source.layout), ["VARCHAR"], "DOUBLE", type=PythonUDFType.ARROW
        )
        return f"price_of(c{self._source.names.index(PRICE)}) AS price, "

    def _paths(self, partition: int | None = None) -> list[str]:
        folder = self.folder / "dealt"
        found = (folder if partition is None else folder / f"partition={partition}").rglob("*.parquet")
        return sorted(map(str, found))

    def _all_products(self) -> str:
        return (
            f"read_parquet({file_list(self._paths())}, hive_partitioning = true, hive_types = {{'partition': INTEGER}})"
        )

    def _warn_of_large_group(self, workspace: Workspace, products: str) -> None:
        largest = workspace.connection.execute(
            "SELECT label, count(*) AS size FROM labels GROUP BY label ORDER BY size DESC, label LIMIT 1"
        ).fetchone()
        rows = workspace.value(f"SELECT count(*) FROM {products}")
        if largest is None or not is_large(largest[1], rows):
            return
        of_column = " UNION ALL ".join(
            f"SELECT {quoted(name)} AS name, {column} AS value FROM {products} JOIN labels USING (row) "
            f"WHERE label = {largest[0]} AND {column} <> ''"
            for name, column in ((IMAGE, "c2"), (TEXT, "c1"))
        )
        most = workspace.connection.execute(
            f"SELECT name, value, count(*) AS size FROM ({of_column}) GROUP BY name, value ORDER BY size DESC, name DESC LIMIT 1"
        ).fetchone()
        if most is not None:
            warn_of_group(self.files.url, largest[1], rows, *most)

    def _find_tuned(self, workspace: Workspace, products: str) -> None:
        workspace.run("CREATE TABLE tuned_ids (id VARCHAR)")
        for source, ids in self.tuned_on.items():
            refuse_lookalikes(workspace, products, ids, source)
            table = pa.table({"id": pa.array(ids)})
            workspace.connection.register("ids_of_source", table)
            workspace.run("INSERT INTO tuned_ids SELECT CAST(id AS VARCHAR) FROM ids_of_source")
            workspace.connection.unregister("ids_of_source")

    def _draw_splits(self, workspace: Workspace) -> None:
        """Make the table ``facts``: what is known of each row, in canonical order, which is that of the partitions, too."""
        kept = "row, partition, name, group_key, tuned_on"
        if self.splitting is None:
            workspace.run(f"CREATE TABLE facts AS SELECT {kept} FROM keyed ORDER BY name; DROP TABLE keyed")
            return
        self._deal_groups(workspace, self.splitting)
        workspace.run(
            f"CREATE TABLE facts AS SELECT {kept}, split, fold, half FROM keyed JOIN dealt USING (group_key) ORDER BY name; "
            "DROP TABLE keyed; DROP TABLE dealt"
        )
        rows = dict(workspace.connection.execute("SELECT split, count(*) FROM facts GROUP BY split").fetchall())
        tuned = workspace.value("SELECT count(*) FROM facts WHERE tuned_on")
        refuse_empty_splits(rows, self.splitting.fractions, tuned, self.files.url)

    def _deal_groups(self, workspace: Workspace, splitting: SplittingParameters) -> None:
        """Make the table ``dealt``: split, fold and half of each group."""
        found = workspace.connection.sql(
            "SELECT group_key, (name >> 64)::UBIGINT AS high, (name & 18446744073709551615::UHUGEINT)::UBIGINT AS low, "
            "price, rows, bound FROM (SELECT group_key, min(name) AS name, arg_min(price, name) AS price, count(*) AS rows, "
            "bool_or(tuned_on) AS bound FROM keyed GROUP BY group_key)"
        ).fetchnumpy()
        groups = Groups(np.stack([found["high"], found["low"]], axis=1), found["price"], found["rows"])
        dealt = split_groups(
            groups,
            found["bound"],
            fractions=splitting.fractions,
            price_quantiles=splitting.price_quantiles,
            folds=splitting.folds,
            seed=self.seed,
        )
        half = np.full(len(groups), -1, np.int8)
        validation = dealt.split == SPLITS.index("validation")
        half[validation] = halves(groups.where(validation), self.seed)
        split = pa.DictionaryArray.from_arrays(dealt.split, pa.array(SPLITS)).cast(pa.string())
        table = pa.table({"group_key": found["group_key"], "split": split, "fold": dealt.fold, "half": half})
        workspace.connection.register("dealt_groups", table)
        workspace.run("CREATE TABLE dealt AS SELECT * FROM dealt_groups")
        workspace.connection.unregister("dealt_groups")

    def _partition(self, workspace: Workspace, partition: int) -> pa.Table:
        """The rows of a partition, checked."""
        paths = self._paths(partition)
        if not paths:
            return pa.table({})
        columns = [f"c{place}" for place in range(len(self._source.names))]
        known = ["group_key", *(["split", "fold", "half", "tuned_on"] if self.splitting is not None else [])]
        table: pa.Table = workspace.connection.sql(
            f"SELECT {', '.join([columns[0], 'row', *columns[1:], *known])} "
            f"FROM read_parquet({file_list(paths)}, hive_partitioning = false) "
            f"JOIN (SELECT * EXCLUDE (partition) FROM facts WHERE partition = {partition}) USING (row) ORDER BY name"
        ).to_arrow_table(BATCH)
        names = [self._source.names[0], "row", *self._source.names[1:], *known]
        return checked(table.rename_columns(names), self.files, self._source, self._whole_numbers)

    def _summary(self, table: pa.Table) -> Summary:
        if not self.files.labelled:
            return {"rows": len(table)}
        known = ["row", "group_key", *LABELS]
        products = table.select(known).to_pandas() if len(table) else pd.DataFrame(columns=known)
        return {"rows": len(table), **label_summary(products)}


def _prices(layout: Layout, texts: pa.ChunkedArray) -> pa.Array:
    return pa.array(prices_of(texts.to_pylist(), layout.decimal, layout.thousands))
