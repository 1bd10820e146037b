"""Products and embedding tables joined by id: the sample table, how each source fits it, and which products a model may use."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.groups.keys import group_keys, warn_of_large_group
from price_fusion.data.ids import Ids, described_lookalikes, ids_of, lacking, listed, lookalikes
from price_fusion.data.order import canonical_order
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import TableView
from price_fusion.errors import AlignmentError
from price_fusion.lazy import pd

logger = logging.getLogger(__name__)

Policy = Literal["strict", "intersect", "keep"]
Unknown = Literal["error", "drop", "keep"]

EXAMPLES = 5
"""Ids shown in reports."""


@dataclass(frozen=True)
class Alignment:
    """Which products a model may use, and how they and its sources fit together."""

    kept: NDArray[np.bool_]
    """(N,) of the sample table."""
    report: dict[str, Any]


def sample_table(products: pd.DataFrame, origin: str) -> pd.DataFrame:
    """The sample table of a product file: what is known of products whatever sources there are.

    Args:
        products: (N,) ``sample_id``, ``catalog_content``, ``image_link`` and, where labelled, ``price``.
        origin: what the products are called in messages.

    Returns:
        (N,) in canonical order: ``sample_id``, ``place`` (row of the product file, from 0), ``price`` where labelled,
        ``group_key`` (numbered in this order).
    """
    ids, groups = ids_of(products["sample_id"]), group_keys(products)
    warn_of_large_group(groups, products, origin)
    place = canonical_order(ids)
    samples = pd.DataFrame({"sample_id": ids[place], "place": place})
    if "price" in products:
        samples["price"] = products["price"].to_numpy(np.float64)[place]
    samples["group_key"] = pd.factorize(groups[place])[0]
    return samples


def align_source(table: TableView, ids: Ids, origin: str) -> dict[str, Any]:
    """How a source and the products fit together.

    Args:
        table: of the source.
        ids: (N,) of the products.
        origin: what the products are called in messages.

    Returns:
        ``rows`` of the table, products ``matched`` and ``missing``, ``extra`` rows, and examples.

    Raises:
        AlignmentError: if the source knows none of the products, or fewer than have ids that only look like its own.
    """
    missing = ids[table.rows_of(ids) < 0]
    refuse_unrelated({table.source: missing}, {table.source: table}, origin, ids)
    return source_report(table, ids, missing)


def align_samples(
    samples: pd.DataFrame,
    tables: Mapping[str, TableView],
    *,
    policy: Policy,
    unknown_products: Unknown,
    origin: str,
) -> Alignment:
    """Choose the products that a model of these sources may use.

    Args:
        samples: (N,) the sample table.
        tables: one per source of the model.
        policy: ``strict`` refuses any missing id, ``intersect`` keeps products that all sources know, ``keep`` marks
            what is missing. Column sources know every product, and count only where there are no embeddings.
        unknown_products: under ``keep``, whether a product that none of these sources knows is an error, dropped, or kept.
        origin: what the products are called in messages.

    Raises:
        AlignmentError: as ``policy`` and ``unknown_products`` say.
    """
    place = np.argsort(samples["place"].to_numpy())  # messages and reports list products in the order of their file
    ids = ids_of(samples["sample_id"])[place]
    chosen = choose_products(ids, tables, policy, unknown_products, origin)
    refuse_none_kept(policy, chosen.counts["rows_kept"], origin)
    in_order = np.empty_like(chosen.kept)
    in_order[place] = chosen.kept
    report = {
        "products": origin,
        "policy": policy,
        **chosen.counts,
        "groups_of_several": int((samples.loc[in_order, "group_key"].value_counts() > 1).sum()),
        "sources": {name: source_report(table, ids, ids[chosen.lacks[name]]) for name, table in tables.items()},
    }
    return Alignment(in_order, report)


class Choice(NamedTuple):
    """Which of N products a model may use, and what its sources know of them."""

    kept: NDArray[np.bool_]
    """(N,)."""
    lacks: dict[str, NDArray[np.bool_]]
    """(N,) whether each source lacks each product."""
    counts: dict[str, int]
    """How many products there are, are kept, and are in all sources and in none."""


def choose_products(
    ids: Ids, tables: Mapping[str, TableView], policy: Policy, unknown_products: Unknown, origin: str
) -> Choice:
    """Choose products by their ids, (N,), all or those of a partition; arguments and errors as of ``align_samples``."""
    lacks = {source: table.rows_of(ids) < 0 for source, table in tables.items()}
    if policy == "strict":
        _refuse_missing({source: ids[absent] for source, absent in lacks.items()}, tables, origin)
    # Column sources know all, and count only where there are no others.
    counting = [source for source, table in tables.items() if table.width] or list(tables)
    lacking_it = np.sum([lacks[source] for source in counting], axis=0)
    incomplete, unknown = lacking_it > 0, lacking_it == len(counting)
    kept = ~incomplete if policy == "intersect" else _without_unknown(ids, unknown, unknown_products, origin, counting)
    counts = {
        "rows": len(ids),
        "rows_kept": int(kept.sum()),
        "rows_in_all_sources": int((~incomplete).sum()),
        "rows_in_no_source": int(unknown.sum()),
        "duplicate_ids": 0,  # refused on reading, in products and in sources
    }
    return Choice(kept, lacks, counts)


def refuse_none_kept(policy: Policy, rows_kept: int, origin: str) -> None:
    """Refuse sources that have no product in common, where products must be in all of them.

    Raises:
        AlignmentError: with what to set.
    """
    if policy == "intersect" and not rows_kept:
        raise AlignmentError(f"{origin}: no product is in all sources. Set ingestion.policy to 'keep'.")


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


def _refuse_missing(missing: Mapping[str, Ids], tables: Mapping[str, TableView], origin: str) -> None:
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


def _without_unknown(
    ids: Ids, unknown: NDArray[np.bool_], wanted: Unknown, origin: str, sources: Sequence[str]
) -> NDArray[np.bool_]:
    """(N,) whether each product is kept, of which these sources do not know some."""
    if unknown.any() and wanted == "error":
        raise AlignmentError(
            f"{origin}: {int(unknown.sum())} product(s) are in none of the sources read ({', '.join(sources)}): "
            f"{listed(ids[unknown])}. Embed them, or set ingestion.unknown_products to 'drop' to train without them."
        )
    return ~unknown if wanted == "drop" else np.ones(len(ids), dtype=bool)


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
