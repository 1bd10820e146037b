"""What is refused in products that come by way of DuckDB, in the words of those that come by way of memory."""
# ruff: noqa: S608 - the SQL is made of our own names

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from price_fusion.data.ids import (
    Ids,
    described_lookalikes,
    likeness,
    lookalikes,
    parse_ids,
    repeated_ids,
)
from price_fusion.data.partitions.product_files import ProductFiles, ProductSource
from price_fusion.data.prices import parse_prices
from price_fusion.data.readers.column_names import ID, PRICE
from price_fusion.errors import SHOWN, AlignmentError, DataError, combined
from price_fusion.storage.workspace import Workspace

logger = logging.getLogger(__name__)

MOST_TWINS = 10_000
"""Ids that are compared in memory; a file with more ids that look alike is refused for the first ones."""


def checked(table: pa.Table, files: ProductFiles, source: ProductSource, whole_numbers: bool) -> pa.Table:
    """Rows of a partition with ids and prices in their types.

    Args:
        table: its columns as text, and ``row``.
        files: that they come from, for messages.
        source: how they were read.
        whole_numbers: whether all ids of the file are such.

    Raises:
        DataError: naming all records whose ids, prices or texts cannot be used.
        AlignmentError: if the only fault is that an id occurs twice.
    """
    numbers = (table["row"].to_numpy() + 1).tolist()
    texts = table[ID].to_pylist()
    ids, problems = parse_ids(texts, files.url, place="record", numbers=numbers)
    problems += _nul_bytes(table, numbers, files, source)
    if files.labelled:
        prices, wrong = parse_prices(
            table[PRICE].to_pylist(),
            texts,
            files.url,
            numbers=numbers,
            layout=source.layout,
            names=files.names,
        )
        problems += wrong
    if problems:
        raise combined(files.url, problems)
    if whole_numbers:
        table = table.set_column(0, ID, pa.array(ids))
    if files.labelled:
        table = table.set_column(table.column_names.index(PRICE), PRICE, pa.array(prices))
    return table


def refuse_twins(workspace: Workspace, products: str, origin: str) -> None:
    """Refuse ids that only Unicode's ways to write a letter tell apart; they are in different partitions.

    Args:
        workspace: where.
        products: a table with ``row`` and ids ``c0``, or what SQL can read like one.
        origin: the file, for messages.

    Raises:
        AlignmentError: naming them.
    """
    odd = f"SELECT nfc_normalize(c0) FROM {products} WHERE c0 <> nfc_normalize(c0)"
    found = workspace.connection.execute(
        f"SELECT row, c0 FROM {products} WHERE nfc_normalize(c0) IN ({odd}) ORDER BY nfc_normalize(c0), row LIMIT {MOST_TWINS}"
    ).fetchall()
    numbers = [row + 1 for row, _ in found]
    problems = repeated_ids(np.array([text for _, text in found], np.str_), origin, place="record", numbers=numbers)
    if problems:
        raise combined(origin, problems)


def refuse_lookalikes(workspace: Workspace, products: str, ids: Ids, source: str) -> None:
    """Refuse ids that an encoder was tuned on if more of them only look like those of products than are such.

    A product that is not recognised here ends up in the holdout, and nothing else would show it.

    Args:
        workspace: where.
        products: a table with ids ``c0``, or what SQL can read like one.
        ids: that the encoder was tuned on.
        source: its name.

    Raises:
        AlignmentError: naming some of them. Fewer are a warning.
    """
    from duckdb.func import PythonUDFType

    wanted = pa.table({"id": pa.array([*dict.fromkeys(map(str, ids.tolist()))], pa.string())})
    workspace.connection.register("wanted", wanted)
    workspace.connection.create_function("likeness", _likenesses, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)
    workspace.run(
        f"CREATE OR REPLACE TABLE known AS SELECT DISTINCT c0 FROM {products} WHERE c0 IN (SELECT id FROM wanted);"
        "CREATE OR REPLACE TABLE missing AS SELECT id, likeness(id) AS likeness FROM wanted "
        "WHERE id NOT IN (SELECT c0 FROM known)"
    )
    missing = workspace.connection.execute("SELECT id FROM missing").fetchall()
    alike = workspace.connection.execute(
        f"SELECT DISTINCT c0 FROM {products} WHERE likeness(c0) IN (SELECT likeness FROM missing) "
        f"AND c0 NOT IN (SELECT c0 FROM known) LIMIT {MOST_TWINS}"
    ).fetchall()
    workspace.run("DROP TABLE known; DROP TABLE missing")
    workspace.connection.unregister("wanted")
    workspace.connection.remove_function("likeness")
    pairs = lookalikes(*(np.array([text for (text,) in texts], np.str_) for texts in (missing, alike)))
    found = len(wanted) - len(missing)
    if pairs and len(pairs) >= min(found, MOST_TWINS):
        raise AlignmentError(
            f"{source}.tuned_on_ids: {found} of its {len(wanted)} ids are those of products, and {described_lookalikes(pairs)}."
        )
    if pairs:
        logger.warning("%s.tuned_on_ids: %s", source, described_lookalikes(pairs))


def _likenesses(texts: pa.ChunkedArray) -> pa.Array:
    return pa.array([likeness(text) for text in texts.to_pylist()], pa.string())


def _nul_bytes(table: pa.Table, numbers: list[int], files: ProductFiles, source: ProductSource) -> list[DataError]:
    found: NDArray[np.bool_] = np.logical_or.reduce(
        [pc.match_substring(table[name], "\0").to_numpy() for name in source.names]
    )
    nul = np.flatnonzero(found)
    if not len(nul):
        return []
    shown = ", ".join(str(numbers[row]) for row in nul[:SHOWN])
    return [
        DataError(
            f"{files.url}: {len(nul):,} record(s) hold a NUL byte: record {shown}; expected text. The file is damaged: write it "
            "again."
        )
    ]
