"""Alignment: which row of each embedding table belongs to which product. Matrices are never copied for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.groups.keys import group_keys, warn_of_large_group
from price_fusion.data.ids import Ids, described_lookalikes, ids_of, lacking, listed, lookalikes
from price_fusion.data.order import canonical_order
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.view import TableView
from price_fusion.errors import AlignmentError
from price_fusion.lazy import pd

logger = logging.getLogger(__name__)

Policy = Literal["strict", "intersect", "keep"]

EXAMPLES = 5
"""Ids shown in reports."""


@dataclass(frozen=True)
class Alignment:
    """Products with their rows in each table, and what did not fit."""

    samples: pd.DataFrame
    """In canonical order: ``sample_id``, ``place`` (row of the product file, from 0), ``price`` where labelled, ``group_key``
    (numbered in this order)."""
    report: dict[str, Any]


def align_products(
    products: pd.DataFrame,
    tables: Mapping[str, TableView],
    *,
    policy: Policy,
    unknown_products: Literal["error", "drop", "keep"],
    origin: str,
) -> Alignment:
    """Find each product's row in each table by id.

    Args:
        products: ``sample_id``, ``catalog_content``, ``image_link`` and, where labelled, ``price``.
        tables: one per source.
        policy: ``strict`` refuses any missing id, ``intersect`` keeps products that all sources know, ``keep`` marks
            what is missing. Column sources know every product, and count only where there are no embeddings.
        unknown_products: under ``keep``, whether a product that no source knows is an error, dropped, or kept.
        origin: what the products are called in messages.

    Raises:
        AlignmentError: if a source knows none of the products, or fewer than have ids that only look like its own, or as ``policy`` and ``unknown_products`` say.
    """
    ids = ids_of(products["sample_id"])
    rows = {source: table.rows_of(ids) for source, table in tables.items()}
    missing = {source: ids[row < 0] for source, row in rows.items()}
    refuse_unrelated(missing, tables, origin, ids)
    if policy == "strict":
        refuse_missing(missing, tables, origin)
    present = presence(rows, tables)
    kept = kept_products(ids, present, policy, unknown_products, origin)
    if policy == "intersect" and not kept.any():
        raise AlignmentError(f"{origin}: no product is in all sources. Set ingestion.policy to 'keep'.")
    place = canonical_order(ids)
    samples = pd.DataFrame({"sample_id": ids[place], "place": place})
    if "price" in products:
        samples["price"] = products["price"].to_numpy(np.float64)[place]
    groups = group_keys(products)
    samples["group_key"] = groups[place]
    samples = samples[kept[place]].reset_index(drop=True)
    samples["group_key"] = pd.factorize(samples["group_key"])[0]
    warn_of_large_group(groups, products, origin)
    report = {
        "products": origin,
        "policy": policy,
        **presence_report(kept, present),
        "groups_of_several": int((samples["group_key"].value_counts() > 1).sum()),
        "sources": {source: source_report(table, ids, missing[source]) for source, table in tables.items()},
    }
    return Alignment(samples, report)


def presence(rows: Mapping[str, NDArray[np.int64]], tables: Mapping[str, TableView]) -> NDArray[np.bool_]:
    """(S, N) whether each source knows each product. Column sources know all, and count only where there are no others."""
    embedded = [row for source, row in rows.items() if tables[source].width] or list(rows.values())
    return np.stack([row >= 0 for row in embedded])


def presence_report(kept: NDArray[np.bool_], present: NDArray[np.bool_]) -> dict[str, int]:
    """How many products there are, are kept, and are in all sources and in none."""
    return {
        "rows": len(kept),
        "rows_kept": int(kept.sum()),
        "rows_in_all_sources": int(present.all(axis=0).sum()),
        "rows_in_no_source": int((~present.any(axis=0)).sum()),
        "duplicate_ids": 0,  # refused on reading, in products and in sources
    }


def refuse_unrelated(
    missing: Mapping[str, Ids], tables: Mapping[str, TableView | RawEmbeddings], origin: str, ids: Ids
) -> None:
    """Refuse a source that knows none of the products, or fewer than it would if ids were written alike.

    Args:
        missing: ids that each source lacks.
        tables: the sources; only their ids are read.
        origin: what the products are called in messages.
        ids: of the products.

    Raises:
        AlignmentError: naming the first such source. Fewer ids that look alike are a warning.
    """
    for source, unknown in missing.items():
        table, known = tables[source], len(ids) - len(unknown)
        alike = lookalikes(unknown, lacking(table.ids, ids)) if len(unknown) else []
        if not known or len(alike) >= known:
            hint = f" {described_lookalikes(alike)}." if alike else ""
            raise AlignmentError(
                f"source {source!r} ({table.origin}) knows {known or 'none'} of the {len(ids)} products of {origin}: products "
                f"have ids like {listed(unknown)}, the source has ids like {listed(table.ids)}.{hint} Check that the "
                f"file belongs to these products, or take the source out of the variants that name it."
            )
        if alike:
            logger.warning("%s and source %r (%s): %s", origin, source, table.origin, described_lookalikes(alike))


def refuse_missing(missing: Mapping[str, Ids], tables: Mapping[str, TableView], origin: str) -> None:
    """Refuse products that a source lacks, under the policy ``strict``.

    Raises:
        AlignmentError: naming the sources and the first of the products.
    """
    gaps = {source: ids for source, ids in missing.items() if len(ids)}
    if gaps:
        details = "; ".join(
            f"{source} ({tables[source].origin}) lacks {len(ids)}: {listed(ids)}" for source, ids in gaps.items()
        )
        raise AlignmentError(
            f"{origin}: ingestion.policy is 'strict' and products are missing from sources: {details}. "
            "Embed them, or set ingestion.policy to 'keep' (missing sources are marked) or 'intersect' (they are left out)."
        )


def kept_products(
    ids: Ids,
    present: NDArray[np.bool_],
    policy: Policy,
    unknown_products: Literal["error", "drop", "keep"],
    origin: str,
) -> NDArray[np.bool_]:
    """(N,) whether each product is kept; arguments as of ``align_products``, and ``presence`` (S, N).

    Raises:
        AlignmentError: if there are products that no source knows, and that is an error.
    """
    everywhere, somewhere = present.all(axis=0), present.any(axis=0)
    if policy == "intersect":
        return np.asarray(everywhere)
    unknown = ids[~somewhere]
    if len(unknown) and unknown_products == "error":
        raise AlignmentError(
            f"{origin}: {len(unknown)} product(s) are in no source: {listed(unknown)}. Embed them, or set "
            "ingestion.unknown_products to 'drop' to train without them."
        )
    return np.asarray(somewhere) if unknown_products == "drop" else np.ones(len(ids), dtype=bool)


def source_report(table: TableView, ids: Ids, missing: Ids) -> dict[str, Any]:
    """How a source and the products fit together."""
    extra = lacking(table.ids, ids)
    return {
        "rows": table.rows,
        "matched": len(ids) - len(missing),
        "missing": len(missing),
        "missing_examples": missing[:EXAMPLES].tolist(),
        "extra": len(extra),
        "extra_examples": extra[:EXAMPLES].tolist(),
    }
