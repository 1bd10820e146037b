"""Alignment partition by partition: the products that a model of some sources may use, and one report of all partitions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from price_fusion.data.alignment import (
    EXAMPLES,
    Policy,
    Unknown,
    choose_products,
    refuse_none_kept,
    source_report,
)
from price_fusion.data.ids import Ids, described_lookalikes, ids_of, lacking, listed, lookalikes, repeated_ids
from price_fusion.data.partitions.labels import LABELS, label_summary
from price_fusion.data.partitions.scatter import frame_of
from price_fusion.data.partitions.table_partitions import PartitionTable, TablePartitions
from price_fusion.errors import AlignmentError
from price_fusion.storage.partitions.parts import PartitionPlan, Partitions, Summary, Tables, recipe

logger = logging.getLogger(__name__)

TRIED = 20
"""Ids of a partition that are compared for likeness where they were not found."""
SOURCE = "<source>"
"""Stands for the name of a source in the address of its table."""


class ChosenProducts(Partitions):
    """The products that a model may use, and the way to the tables of its sources.

    One handle on all that is streamed: what reads it needs no input a source.

    Args:
        url: of the folder of the products.
        tables: address of the tables, with ``SOURCE`` in it.

    Raises:
        DataError, StorageError: as of ``Partitions``.
    """

    def __init__(self, url: str, tables: str) -> None:
        super().__init__(url)
        self._tables = tables

    @property
    def sources(self) -> list[str]:
        """That the products were aligned with."""
        return list(self.metadata["sources"])

    def tables_of(self, sources: Iterable[str]) -> dict[str, TablePartitions]:
        """Open the tables of these sources, in this order.

        Raises:
            DataError: if one is not there, or is damaged.
            AlignmentError: if one has another number of partitions than the products, or they were aligned with another.
        """
        tables = {name: TablePartitions(Partitions(self._tables.replace(SOURCE, name))) for name in sources}
        _refuse_other_counts(self, tables)
        self._refuse_others(tables)
        return tables

    def _refuse_others(self, tables: Mapping[str, TablePartitions]) -> None:
        aligned: Mapping[str, str] | None = self.metadata.get("tables")
        if aligned is None:  # of an earlier release
            return
        for name, table in tables.items():
            if aligned.get(name) == table.fingerprint:
                continue
            was = (
                "that they were chosen by"
                if name in aligned
                else f"by which none were chosen, only by {', '.join(aligned)}"
            )
            raise AlignmentError(
                f"{self.url}: products of a model, chosen for what its sources know of them; {table.partitions.url} is not the "
                f"table of {name!r} {was}. Choose them again: run the pipeline whole, without --from-nodes. An environment that "
                "moves a table says so in `tables` of its <model>.<part>_sample_partitions, too (docs/scale.md)."
            )


@dataclass(frozen=True)
class PartitionAlignment:
    """The task of a partition."""

    products: Partitions
    tables: Mapping[str, TablePartitions]
    policy: Policy
    unknown_products: Unknown
    origin: str

    def __call__(self, partition: int) -> tuple[Tables, Summary]:
        """The samples of a partition, and how its products and these sources fit together."""
        labels = LABELS if self.products.metadata["labelled"] else ()
        products = frame_of(self.products, partition, ["sample_id", "row", "group_key", *labels])
        products = products.sort_values("row")  # messages and reports list products in the order of their file
        tables = {name: table.partition(partition) for name, table in self.tables.items()}
        for table in tables.values():
            _refuse_repeats(table)
        ids = ids_of(products["sample_id"])
        chosen = choose_products(ids, tables, self.policy, self.unknown_products, self.origin)
        samples = products[chosen.kept].sort_index()
        places = products["row"].to_numpy()
        summary = {
            "report": chosen.counts,
            "sources": {
                name: _source_report(table, ids, ids[chosen.lacks[name]])
                | {"_missing_places": places[chosen.lacks[name]][:EXAMPLES].tolist()}
                for name, table in tables.items()
            },
            **(label_summary(samples) if labels else {}),
        }
        return {partition: pa.Table.from_pandas(samples, preserve_index=False)}, summary


def alignment_plan(alignment: PartitionAlignment) -> PartitionPlan:
    """The products that a model of some sources may use, in partitions.

    Columns: ``sample_id``, ``row`` (of the product file), ``group_key`` and, where labelled, ``LABELS``.

    Raises:
        AlignmentError: if a table has another number of partitions than the products.
    """
    products = alignment.products
    _refuse_other_counts(products, alignment.tables)
    described = {
        "products": products.fingerprint,
        "tables": {name: table.fingerprint for name, table in alignment.tables.items()},
        "policy": alignment.policy,
        "unknown_products": alignment.unknown_products,
    }
    metadata = {
        "labelled": products.metadata["labelled"],
        "sources": list(alignment.tables),
        "tables": described["tables"],
        "origin": products.origin,
    }
    return PartitionPlan(alignment, products.count, products.count, recipe("samples 4", described), metadata)


def merged_alignment(samples: Partitions, policy: Policy, origin: str) -> dict[str, Any]:
    """The alignment report of all partitions, as ``align_samples`` gives it but for the groups, which nothing counts here.

    Raises:
        AlignmentError: if a source knows none of the products, or no product is in all sources where it should be.
    """
    parts = samples.summaries
    report = {key: sum(part["report"][key] for part in parts) for key in parts[0]["report"]}
    sources = {name: _merged_source([part["sources"][name] for part in parts]) for name in samples.metadata["sources"]}
    for name, found in sources.items():
        _refuse_unrelated(name, found, report["rows"], origin)
    refuse_none_kept(policy, report["rows_kept"], origin)
    shown = {name: {key: found[key] for key in found if not key.startswith("_")} for name, found in sources.items()}
    return {"products": origin, "policy": policy, **report, "groups_of_several": None, "sources": shown}


def _refuse_other_counts(products: Partitions, tables: Mapping[str, TablePartitions]) -> None:
    for table in tables.values():
        if table.partitions.count != products.count:
            raise AlignmentError(
                f"{table.partitions.url}: {table.partitions.count} partitions, the products ({products.url}) have {products.count}: "
                "they were dealt out by runs with other compute.partitions. Deal all of them out anew, then give this command again: "
                "kedro run --pipelines ingest"
            )


def _source_report(table: PartitionTable, ids: Ids, missing: Ids) -> dict[str, Any]:
    extra = lacking(table.ids, ids)
    tried = {"_missing": missing[:TRIED].tolist(), "_extra": extra[:TRIED].tolist(), "_ids": ids[:EXAMPLES].tolist()}
    return source_report(table, ids, missing) | tried | {"_of_table": table.ids[:EXAMPLES].tolist()}


def _merged_source(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {key: sum(part[key] for part in parts) for key in ("rows", "matched", "missing", "extra")}
    in_order = sorted(
        pair for part in parts for pair in zip(part["_missing_places"], part["missing_examples"], strict=True)
    )
    total["missing_examples"] = [one for _, one in in_order[:EXAMPLES]]
    total["extra_examples"] = [one for part in parts for one in part["extra_examples"]][:EXAMPLES]
    for key in ("_missing", "_extra", "_ids", "_of_table"):
        total[key] = [one for part in parts for one in part[key]]
    return total


def _refuse_unrelated(name: str, found: Mapping[str, Any], products: int, origin: str) -> None:
    alike = lookalikes(_as_ids(found["_missing"]), _as_ids(found["_extra"])) if found["_missing"] else []
    hint = f" {described_lookalikes(alike)}." if alike else ""
    if products and not found["matched"]:
        raise AlignmentError(
            f"source {name!r} knows none of the {products:,} products of {origin}: products have ids like "
            f"{listed(_as_ids(found['_ids']))}, the source has ids like {listed(_as_ids(found['_of_table']))}.{hint} Check that "
            "the file belongs to these products, or take the source out of the variants that name it."
        )
    if alike:
        logger.warning("%s and source %r: %s", origin, name, described_lookalikes(alike))


def _as_ids(values: Sequence[Any]) -> Ids:
    return np.array(values, np.int64) if all(isinstance(value, int) for value in values) else np.array(values, np.str_)


def _refuse_repeats(table: PartitionTable) -> None:
    """Within a file ids were checked when it was read; several files may share one."""
    for problem in repeated_ids(table.ids, str(table.folder)):
        raise problem
