"""Variants side by side."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from price_fusion.command_options import CommandOptions
from price_fusion.data.ids import are_among
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ComparisonParameters, VariantParameters
from price_fusion.pipelines.reporting.further import importances_found
from price_fusion.selection.comparison import Contender, compare, contender, leaderboard_document, on_common_rows
from price_fusion.selection.own_ridges import RIDGE, ridges_of
from price_fusion.selection.verdict import is_of_split, verdict
from price_fusion.storage.fingerprint import rows_of_whole

logger = logging.getLogger(__name__)


def measure_baselines(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    seed: int,
    *tables: EmbeddingTable,
    variants: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Prices of the evaluated rows by the baselines of ``baseline_results``.

    Args:
        samples: the sample table.
        split_table: in its order.
        comparison: what fitting may spend.
        seed: of what is random.
        tables: all sources.
        variants: the sources of each variant, for a ridge of the same sources.
    """
    from price_fusion.evaluation.baselines import baseline_results

    ridges = ridges_of(variants or {})
    del ridges[RIDGE]  # is among the baselines anyway
    return baseline_results(
        samples,
        split_table,
        {table.source: table for table in tables},
        options=comparison,
        seed=seed,
        ridges=ridges,
    )


def measure_learning_curve(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    seed: int,
    *tables: EmbeddingTable,
) -> dict[str, Any]:
    """What twice as many labelled products would bring, as ``learning_curve`` gives it."""
    from price_fusion.selection.learning_curve import learning_curve

    return learning_curve(
        samples,
        split_table,
        {table.source: table for table in tables},
        options=comparison,
        resamples=comparison.resamples,
        seed=seed,
    )


def describe_contender(
    checkpoint: Checkpoint,
    history: list[dict[str, Any]],
    results: pd.DataFrame,
    variant: VariantParameters,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    *tables: EmbeddingTable,
) -> Contender:
    """What the leaderboard says of a variant, and whether its files come from the current data and configuration."""
    by_name = {table.source: table for table in tables}
    return contender(checkpoint, history, results, variant, samples, split_table, by_name)


def rank(
    baselines: pd.DataFrame,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    seed: int,
    price_groups: dict[str, Any],
    curve: dict[str, Any],
    folder: Path,
    *contenders: Contender,
) -> tuple[pd.DataFrame, dict[str, Any], list[str]]:
    """The leaderboard as a table, as a document, and what it says to do.

    Args:
        baselines: as ``measure_baselines`` gives them.
        samples: the sample table.
        split_table: in its order.
        comparison: of the bootstrap.
        seed: of the bootstrap.
        price_groups: with the currency.
        curve: as ``measure_learning_curve`` gives it.
        folder: of reports, where ablations of the variants may be.
        contenders: the variants.
    """
    from price_fusion.report.who_predicts import sample_in_words

    resamples = comparison.resamples
    leaderboard = compare(
        contenders,
        baselines,
        samples,
        split_table,
        currency=price_groups["currency"],
        resamples=resamples,
        seed=seed,
    )
    _, common = on_common_rows(contenders, baselines)
    rows = samples[are_among(samples["sample_id"], common["sample_id"])]
    document = leaderboard_document(leaderboard, rows["group_key"].nunique(), resamples)
    document["rows_in_memory"], document["labelled_rows"] = len(samples), rows_of_whole(samples)
    sampled = sample_in_words(len(samples), rows_of_whole(samples))
    tried = {one.name: importances_found(folder, one.name)["left out"] for one in contenders}
    ablations = {name: one for name, one in tried.items() if one is not None and is_of_split(one, split_table)}
    histories = {one.name: one.history for one in contenders}
    validation_rows = int((split_table["split"] == "validation").sum())
    said = [*verdict(leaderboard, histories, validation_rows, ablations, curve), *filter(None, [sampled])]
    return leaderboard, document | {"verdict": said}, said


def draw_leaderboard(leaderboard: pd.DataFrame, curve: dict[str, Any]) -> tuple[Any, Any]:
    """SMAPE of each model with its interval, and SMAPE over the number of labelled products."""
    from price_fusion.report.comparison_figures import label_curve_figure, leaderboard_figure

    return leaderboard_figure(leaderboard), label_curve_figure(curve)


def write_comparison_report(
    leaderboard: pd.DataFrame,
    figure: Any,
    curve_figure: Any,
    said: list[str],
    baselines: pd.DataFrame,
    price_groups: dict[str, Any],
    options: CommandOptions,
    *contenders: Contender,
) -> tuple[str, list[str]]:
    """The page of all models, with links to those of the variants, and what it says to do."""
    from price_fusion.report.comparison_page import comparison_page

    on_same, baselines = on_common_rows(contenders, baselines)
    predicted = {one.name: one.results["predicted"].to_numpy() for one in on_same}
    predicted |= {name: baselines[name].to_numpy() for name in baselines.columns.drop(["sample_id", "price"])}
    pages = [one.name for one in contenders]
    groups = PriceGroups.model_validate(price_groups)
    true = baselines["price"].to_numpy()
    return comparison_page(leaderboard, figure, curve_figure, said, true, predicted, groups, pages, options), said


def log_verdict(said: list[str]) -> None:
    """Say who is best, as the page does; the summary of the run says what to do.

    A node without outputs runs under ``--only-missing-outputs``, and with it those that make the page and the leaderboard.
    """
    logger.info(said[0])
