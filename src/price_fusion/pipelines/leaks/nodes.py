"""Whether there are duplicates across splits, or prices in a source, that should not be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from price_fusion.data.ids import ids_of
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import ComparisonParameters, LeakParameters


def check_overlaps(
    train_products: pd.DataFrame,
    train_samples: pd.DataFrame,
    split_table: pd.DataFrame,
    test_products: pd.DataFrame,
    test_samples: pd.DataFrame,
    leaks: LeakParameters,
    *tables: EmbeddingTable,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Duplicates across splits, and the report of them.

    Args:
        train_products: as read.
        train_samples: their sample table.
        split_table: in its order.
        test_products: as read.
        test_samples: their sample table.
        leaks: what is near-identical.
        tables: of each source that of the labelled products, then in the same order those of ``test.csv``.
    """
    from price_fusion.selection.leaks.overlaps import find_overlaps, sides, warn_of_overlaps

    page = sides((train_products, train_samples), split_table, (test_products, test_samples))
    half = len(tables) // 2
    found = find_overlaps(page, _paired(tables[:half], tables[half:], train_samples, test_samples), near=leaks.near)
    warn_of_overlaps(found.report)
    return found.products, found.report


def check_sources(
    samples: pd.DataFrame, split_table: pd.DataFrame, leaks: LeakParameters, seed: int, *tables: EmbeddingTable
) -> dict[str, Any]:
    """Whether sources leak prices."""
    from price_fusion.selection.leaks.sources import find_informed_sources, warn_of_sources

    report = find_informed_sources(samples, split_table, {table.source: table for table in tables}, leaks, seed=seed)
    warn_of_sources(report)
    return report


def measure_effect(
    results: pd.DataFrame,
    overlapping: pd.DataFrame,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
) -> dict[str, Any]:
    """What duplicates across splits do to the SMAPE of a model."""
    from price_fusion.selection.leaks.effect import leak_effect

    return leak_effect(results, overlapping, samples, split_table, resamples=comparison.resamples)


def _paired(
    labelled: Sequence[EmbeddingTable],
    unlabelled: Sequence[EmbeddingTable],
    train_samples: pd.DataFrame,
    test_samples: pd.DataFrame,
) -> Mapping[str, tuple[EmbeddingTable, Any, EmbeddingTable, Any]]:
    """Both tables of each source with the rows of the products in them."""
    train_ids, test_ids = ids_of(train_samples["sample_id"]), ids_of(test_samples["sample_id"])
    return {
        one.source: (one, one.rows_of(train_ids), other, other.rows_of(test_ids))
        for one, other in zip(labelled, unlabelled, strict=True)
    }
