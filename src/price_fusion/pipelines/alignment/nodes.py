"""Which products a model may use, over its own sources: the policies for what sources lack."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from price_fusion.data.alignment import Alignment, Policy, Unknown, align_samples
from price_fusion.data.checks.frame_checks import refuse_other_products
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import IngestionParameters

logger = logging.getLogger(__name__)

Checks = dict[str, Any]


def choose_labelled(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    data_checks: Checks,
    ingestion: IngestionParameters,
    *checks_and_tables: Checks | EmbeddingTable,
) -> tuple[pd.DataFrame, pd.DataFrame, Checks, Checks]:
    """The labelled products of a model, once its sources have passed their checks.

    Args:
        samples: the sample table of all products.
        split_table: in its order.
        data_checks: of the products.
        ingestion: policies.
        checks_and_tables: checks of each source of the model, and the table of each.

    Returns:
        its sample table, split table, alignment report, and all checks of its inputs in one.
    """
    refuse_other_products(samples, split_table)
    checks = _joined(data_checks, checks_and_tables)
    alignment = _aligned(samples, checks, ingestion, checks_and_tables)
    if alignment.kept.all():
        return samples, split_table, alignment.report, checks
    chosen, split = (frame[alignment.kept].reset_index(drop=True) for frame in (samples, split_table))
    return chosen, split, alignment.report, checks


def choose_unlabelled(
    samples: pd.DataFrame,
    data_checks: Checks,
    ingestion: IngestionParameters,
    *checks_and_tables: Checks | EmbeddingTable,
) -> tuple[pd.DataFrame, Checks]:
    """The products that a model is to predict: all of them, unless ``strict`` refuses some; and their alignment report."""
    report = report_alignment(samples, data_checks, ingestion, *checks_and_tables)
    warn_of_unknown(report)
    return samples, report


def report_alignment(
    samples: pd.DataFrame,
    data_checks: Checks,
    ingestion: IngestionParameters,
    *checks_and_tables: Checks | EmbeddingTable,
) -> Checks:
    """How products and these sources fit together."""
    return _aligned(samples, _joined(data_checks, checks_and_tables), ingestion, checks_and_tables).report


def policies(part: str, ingestion: IngestionParameters) -> tuple[Policy, Unknown]:
    """What becomes of products that sources lack. Unless ``strict``, each product to be predicted is kept."""
    if part == "train":
        return ingestion.policy, ingestion.unknown_products
    return "strict" if ingestion.policy == "strict" else "keep", "keep"


def warn_of_unknown(report: Checks) -> None:
    """Say how many products to be predicted none of the sources knows."""
    if report["rows_in_no_source"]:
        logger.warning(
            "%d product(s) to be predicted are in no source of embeddings: they are predicted from their columns where a variant "
            "reads some, and else get the median price of the train rows",
            report["rows_in_no_source"],
        )


def joined(data_checks: Checks, of_sources: Iterable[Checks]) -> Checks:
    """Suspicions of products and sources in one list."""
    return {
        **data_checks,
        "suspicions": [found for one in (data_checks, *of_sources) for found in one["suspicions"]],
    }


def _aligned(
    samples: pd.DataFrame,
    checks: Checks,
    ingestion: IngestionParameters,
    checks_and_tables: tuple[Checks | EmbeddingTable, ...],
) -> Alignment:
    """Which products may be used, by the policies."""
    policy, unknown_products = policies(checks["part"], ingestion)
    alignment = align_samples(
        samples,
        {one.source: one for one in checks_and_tables if isinstance(one, EmbeddingTable)},
        policy=policy,
        unknown_products=unknown_products,
        origin=f"{checks['part']}_products",
    )
    return replace(alignment, report=alignment.report | {"suspicions": len(checks["suspicions"])})


def _joined(data_checks: Checks, others: tuple[Checks | EmbeddingTable, ...]) -> Checks:
    return joined(data_checks, [one for one in others if not isinstance(one, EmbeddingTable)])
