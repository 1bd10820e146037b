"""Rows of tables in partitions, brought into memory for what needs many at once: all, or the canonically first.

Canonical order is that of a hash of ids (``data.order``), so the first rows are a random sample: the same for any number of
partitions, and in the first of them. Groups may be cut; as each is whole within one split and one fold, none of it is on two
sides.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from price_fusion.compute.progress import tracked
from price_fusion.data.ids import Ids, are_among, ids_of
from price_fusion.data.order import canonical_order, partitions_of
from price_fusion.data.partitions.scatter import frame_of
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import TableDraft
from price_fusion.errors import DataError
from price_fusion.lazy import pd
from price_fusion.storage.files import storage_errors
from price_fusion.storage.fingerprint import is_sample, mark_sample, row_hashes, rows_of_whole
from price_fusion.storage.partitions.parts import Partitions

logger = logging.getLogger(__name__)

SPLIT = ("split", "fold", "tuned_on")
"""Columns of labelled products in partitions that are of the split table, beside ``sample_id``."""
FACTS = ("row", "group_key", "half", *SPLIT)
"""Columns of products in partitions that product files do not have."""


def gather_samples(products: Partitions, most: int) -> pd.DataFrame:
    """The canonically first products, in that order.

    Args:
        products: in partitions.
        most: how many rows, at most.

    Returns:
        a sample table. Where these are not all products, ``attrs`` say of how many they are a sample, and what the whole is
        (``storage.fingerprint``).
    """
    prices = ["price"] if products.metadata["labelled"] else []
    gathered = _first_rows(products, ["sample_id", "row", *prices, "group_key"], most).rename(columns={"row": "place"})
    gathered["group_key"] = pd.factorize(gathered["group_key"])[0]
    if products.rows > most:
        logger.info("%s: %s of %s products, at random, are in memory", products.url, f"{most:,}", f"{products.rows:,}")
        mark_sample(gathered, products.rows, _digests(products))
    return gathered


def gather_split(products: Partitions, samples: pd.DataFrame) -> pd.DataFrame:
    """The split table of a gathered sample table, which says of what it is a sample, too."""
    gathered = _first_rows(products, ["sample_id", *SPLIT], len(samples))
    gathered.attrs = dict(samples.attrs)
    return gathered


def gather_chosen(
    chosen: Partitions, samples: pd.DataFrame, split_table: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those of the gathered products that a model may use.

    Args:
        chosen: all products that it may use, in partitions.
        samples: the gathered sample table of all products.
        split_table: in its order.

    Returns:
        sample table and split table; where all products are in memory, those that ``align_samples`` chooses there.
    """
    if chosen.rows == rows_of_whole(samples):
        return samples, split_table
    kept = [
        are_among(own, ids_of(frame_of(chosen, partition, ["sample_id"])["sample_id"]))
        for partition, own in _by_partition(ids_of(samples["sample_id"]), chosen.count)
    ]
    frames = [frame[np.concatenate(kept)].reset_index(drop=True) for frame in (samples, split_table)]
    if is_sample(samples):
        digests = _digests(chosen)
        for frame in frames:
            mark_sample(frame, chosen.rows, digests)
    return frames[0], frames[1]


def gather_products(products: Partitions, samples: pd.DataFrame) -> pd.DataFrame:
    """The products of a gathered sample table as they were read, in the order of their file."""
    ids = ids_of(samples["sample_id"])
    parts = []
    for partition, own in _by_partition(ids, products.count):
        frame = frame_of(products, partition)
        parts.append(frame[frame["sample_id"].isin(own)])
    gathered = pd.concat(parts).sort_values("row", ignore_index=True)
    return gathered.drop(columns=[name for name in FACTS if name in gathered])


def draft_gathered(table: TablePartitions, samples: pd.DataFrame, spill: Path, *, rows_per_shard: int) -> TableDraft:
    """The rows of the products of a gathered sample table, as an embedding table to be written.

    Rows are in the order of what the table was made from, as they are without partitions.

    Args:
        table: of a source, in partitions.
        samples: the gathered products.
        spill: folder with room for these rows in float32; what is put there goes with the draft.
        rows_per_shard: of the embedding table.

    Raises:
        DataError: if the source knows none of these products.
    """
    declared, wanted = table.declaration, ids_of(samples["sample_id"])
    partitions = _by_partition(wanted, table.partitions.count)
    found, places = _known_rows(table, partitions)
    if not len(found):
        raise DataError(
            f"{table.partitions.url}: the source {table.source!r} knows none of the {len(wanted):,} products that are brought into "
            "memory, expected at least one. Raise compute.rows_in_memory, or take the source out of the variants that name it."
        )
    order = np.argsort(places)
    target = np.empty_like(order)
    target[order] = np.arange(len(order))
    with storage_errors(spill / "vectors"):
        spill.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=spill) as file:  # the mapping outlives the file's name
            matrix = np.memmap(file, np.float32, "w+", shape=(len(found), declared.width))
    filled = 0
    for number, own in tracked(partitions, f"gathering {table.partitions.url}", "partitions"):
        partition = table.partition(number)
        rows = partition.rows_of(own)
        rows = rows[rows >= 0]
        if len(rows):
            here = target[filled : filled + len(rows)]
            matrix[here, : partition.width] = partition.vectors[0][rows]
            matrix[here, partition.width :] = partition.structural[rows]
            filled += len(rows)
    return TableDraft(RawEmbeddings(found[order], matrix, table.origin), declared, table.dtype, rows_per_shard)


def _known_rows(table: TablePartitions, partitions: list[tuple[int, Ids]]) -> tuple[Ids, NDArray[np.int64]]:
    """Ids and places of those products that a table knows, partition by partition."""
    ids: list[Ids] = []
    places = [np.empty(0, np.int64)]
    for number, own in partitions:
        partition = table.partition(number)
        rows = partition.rows_of(own)
        ids.append(own[rows >= 0])
        places.append(partition.places[rows[rows >= 0]])
    return ids_of(pd.Series(np.concatenate(ids))), np.concatenate(places)


def _by_partition(ids: Ids, count: int) -> list[tuple[int, Ids]]:
    """Ids in canonical order, by partition."""
    partition = partitions_of(ids, count)
    return [(int(number), ids[partition == number]) for number in np.unique(partition)]


def _first_rows(products: Partitions, columns: list[str], most: int) -> pd.DataFrame:
    """The canonically first rows, without what frames of products say of their file."""
    parts, left = [], most
    for frame in _frames(products, columns):
        parts.append(frame.iloc[:left])
        left -= len(parts[-1])
        if not left:
            break
    rows = pd.concat(parts, ignore_index=True)
    rows.attrs = {}
    return rows


def _frames(products: Partitions, columns: list[str]) -> Iterator[pd.DataFrame]:
    """The rows of products in canonical order, partition by partition."""
    for partition in range(products.count):
        if products.rows_in(partition):
            frame = frame_of(products, partition, columns)
            yield frame.iloc[canonical_order(ids_of(frame["sample_id"]))]


def _digests(products: Partitions) -> dict[str, str]:
    """Those of all labelled products that ``data_fingerprints`` and ``final_fingerprints`` ask for; none of others."""
    if not products.metadata["labelled"]:
        return {}
    digests = {name: hashlib.sha256() for name in ("samples", "labelled", "split")}
    for frame in _frames(products, ["sample_id", "price", "group_key", *SPLIT]):
        split_table, labelled = frame[["sample_id", *SPLIT]], frame.drop(columns=list(SPLIT))
        known = labelled.assign(price=labelled["price"].where(frame["split"] != "holdout"))
        for name, part in (("samples", known), ("labelled", labelled), ("split", split_table)):
            digests[name].update(row_hashes(part).tobytes())
    return {name: digest.hexdigest() for name, digest in digests.items()}
