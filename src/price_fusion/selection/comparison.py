"""Variants and baselines side by side, on the same rows or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from price_fusion.data.ids import are_among, same_ids
from price_fusion.data.splits import evaluated_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import ComparisonError
from price_fusion.lazy import pd
from price_fusion.metrics.bootstrap import CONFIDENCE, bootstrap_means, difference, interval
from price_fusion.metrics.price_metrics import price_metrics, smape_per_product
from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader, checkpoint_digest
from price_fusion.parameters import VariantParameters
from price_fusion.selection.own_ridges import RIDGE, ridge_of, ridges_of
from price_fusion.selection.stale_lines import NOT_STALE, STALE, short_digest
from price_fusion.training.recipe import data_fingerprints, other_data

BASELINES_AGAIN = "kedro run --pipelines compare --nodes measure_baselines"
BEHIND_RIDGE = ("behind_ridge", "behind_ridge_low", "behind_ridge_high")
MEDIAN = "median"
"""The baseline that reads no source."""
BASELINES_FROM = "kedro run --pipelines compare --only-missing-outputs --from-nodes measure_baselines"


@dataclass(frozen=True)
class Contender:
    """A trained and evaluated variant."""

    name: str
    sources: tuple[str, ...]
    parameters: int
    """Trained weights."""
    seconds_per_epoch: float
    """Mean over all epochs."""
    epochs: int
    best_epoch: int
    checkpoint: str
    """Digest of the checkpoint that was evaluated, as ``stale_lines`` compares it."""
    results: pd.DataFrame
    """Per evaluated product ``sample_id``, ``price`` and ``predicted``, in currency units."""
    history: Sequence[Mapping[str, Any]]
    """One record per epoch."""
    problems: tuple[str, ...]
    """Why it cannot be compared, each with what to do; empty if it can."""


def contender(
    checkpoint: Checkpoint,
    history: Sequence[Mapping[str, Any]],
    results: pd.DataFrame,
    declared: VariantParameters,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
) -> Contender:
    """What the leaderboard says of a variant, and whether its files come from the current data and configuration.

    Args:
        checkpoint: its trained model.
        history: one record per epoch.
        results: its evaluation.
        declared: its configuration as it is now.
        samples: the sample table as it is now.
        split_table: the split as it is now.
        tables: its sources as they are now.
    """
    header = checkpoint.header
    data = data_fingerprints(samples, split_table, tables)
    other = other_data(header.data, data, tables)
    return Contender(
        name=header.variant,
        sources=tuple(header.sources),
        parameters=_count(checkpoint),
        seconds_per_epoch=float(np.mean([record["seconds"] for record in history])),
        epochs=len(history),
        best_epoch=header.epoch,
        checkpoint=short_digest(checkpoint_digest(checkpoint)),
        results=results,
        history=history,
        problems=(
            *_training_problems(header, declared, other),
            *_evaluation_problems(header, results, samples, split_table),
        ),
    )


def compare(
    contenders: Sequence[Contender],
    baselines: pd.DataFrame,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    *,
    currency: str,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Rank variants and baselines by SMAPE on the evaluated rows.

    Args:
        contenders: the variants.
        baselines: ``sample_id``, ``price`` and a column of prices per baseline.
        samples: the sample table; products of one ``group_key`` are resampled together.
        split_table: in the order of ``samples``.
        currency: of the prices.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        best first, one row per model: ``model``, ``sources`` (in alphabetical order, joined by commas), ``parameters``, ``seconds_per_epoch``, ``epochs``, ``best_epoch``,
        ``checkpoint`` (its digest; these are missing for baselines), ``split``, ``rows``, ``currency``, ``smape``, ``smape_low``,
        ``smape_high`` in percent, ``mae``, ``rmse`` in currency units,
        ``r2``, and the difference to the best in points of SMAPE: ``behind_best``, ``behind_best_low``,
        ``behind_best_high``, ``reversed`` (share of resamples in which it is not behind; missing for the best),
        ``own_ridge`` (name of the ridge of the same sources; missing for baselines), ``behind_ridge``,
        ``behind_ridge_low``, ``behind_ridge_high`` (the difference to it in points of SMAPE; negative: better), and
        ``stale``, empty until a variant has another checkpoint (``stale_lines.py``).

    Raises:
        ComparisonError: if a variant or the baselines come from other rows, data or configuration than the current ones.
    """
    problems = [problem for one in contenders for problem in one.problems]
    if not _covers(baselines, samples, split_table):
        problems.append(f"baseline_results: of other rows than those of the split; run: {BASELINES_FROM}")
    variants = {one.name: one.sources for one in contenders}
    ridges = ridges_of(variants)
    if lacking := [name for name in ridges if name not in baselines]:
        problems.append(f"baseline_results: without {', '.join(lacking)}; run: {BASELINES_AGAIN}")
    _refuse(problems)
    split = evaluated_split(split_table)
    contenders, baselines = on_common_rows(contenders, baselines)
    evaluated = samples[are_among(samples["sample_id"], baselines["sample_id"])]
    true, groups = evaluated["price"], evaluated["group_key"]
    predicted = {one.name: one.results["predicted"].to_numpy() for one in contenders}
    predicted |= {name: baselines[name].to_numpy() for name in baselines.columns.drop(["sample_id", "price"])}
    own = {name: ridge_of(sources, ridges) for name, sources in variants.items()}
    scores = _scores(predicted, true.to_numpy(), groups.to_numpy(), own, resamples, seed)
    read = {**dict.fromkeys(predicted, ridges[RIDGE]), MEDIAN: (), **ridges, **variants}
    known = {one.name: one for one in contenders}
    rows = [
        {
            "model": name,
            "sources": ", ".join(sorted(read[name])),
            **_training_facts(known.get(name)),
            "split": split,
            "rows": len(true),
            "currency": currency,
            **score,
            STALE: NOT_STALE,
        }
        for name, score in scores.items()
    ]
    whole = dict.fromkeys(("parameters", "epochs", "best_epoch"), "Int64")
    return pd.DataFrame(rows).astype(whole)


def on_common_rows(contenders: Sequence[Contender], baselines: pd.DataFrame) -> tuple[list[Contender], pd.DataFrame]:
    """Predictions of the products that all contenders have: each may lack some that its sources do not know.

    Args:
        contenders: the variants.
        baselines: as of ``compare``.
    """
    common = np.ones(len(baselines), dtype=bool)
    for one in contenders:
        common &= are_among(baselines["sample_id"], one.results["sample_id"])
    kept = baselines[common].reset_index(drop=True)
    chosen = (one.results[are_among(one.results["sample_id"], kept["sample_id"])] for one in contenders)
    return [
        replace(one, results=rows.reset_index(drop=True)) for one, rows in zip(contenders, chosen, strict=True)
    ], kept


def leaderboard_document(leaderboard: pd.DataFrame, groups: int, resamples: int) -> dict[str, Any]:
    """The leaderboard as JSON can hold it: ``None`` for what is missing.

    Args:
        leaderboard: as ``compare`` gives it.
        groups: groups of products that were resampled.
        resamples: of the bootstrap.
    """
    best = leaderboard.iloc[0]
    models = leaderboard.drop(columns=["split", "rows", "currency"]).astype(object)
    return {
        "split": str(best["split"]),
        "rows": int(best["rows"]),
        "currency": str(best["currency"]),
        "groups": groups,
        "resamples": resamples,
        "confidence": CONFIDENCE,
        "best": str(best["model"]),
        "models": models.where(models.notna(), None).to_dict(orient="records"),
    }


def _scores(
    predicted: Mapping[str, Any], true: Any, groups: Any, own_ridges: Mapping[str, str], resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Metrics with intervals by model, best first."""
    metrics = {name: price_metrics(prices, true) for name, prices in predicted.items()}
    names = sorted(metrics, key=lambda name: metrics[name]["smape"])
    smape = np.column_stack([smape_per_product(predicted[name], true) for name in names])
    means = bootstrap_means(smape, groups, resamples=resamples, seed=seed)
    scores = {}
    for place, name in enumerate(names):
        low, high = interval(means[:, place])
        behind = difference(metrics[name]["smape"] - metrics[names[0]]["smape"], means[:, place] - means[:, 0])
        scores[name] = {
            "smape": metrics[name]["smape"],
            "smape_low": low,
            "smape_high": high,
            **{key: metrics[name][key] for key in ("mae", "rmse", "r2")},
            "behind_best": behind.mean,
            "behind_best_low": behind.low,
            "behind_best_high": behind.high,
            "reversed": behind.reversed if place else math.nan,
            **_against_ridge(name, own_ridges.get(name), metrics, {one: means[:, at] for at, one in enumerate(names)}),
        }
    return scores


def _against_ridge(
    model: str, ridge: str | None, metrics: Mapping[str, Mapping[str, float]], means: Mapping[str, Any]
) -> dict[str, Any]:
    """How far a variant is behind the ridge of the same sources, product by product; nothing for other models."""
    if ridge is None:
        return {"own_ridge": None, **dict.fromkeys(BEHIND_RIDGE, math.nan)}
    behind = difference(metrics[model]["smape"] - metrics[ridge]["smape"], means[model] - means[ridge])
    return {"own_ridge": ridge, **dict(zip(BEHIND_RIDGE, (behind.mean, behind.low, behind.high), strict=True))}


def _training_facts(one: Contender | None) -> dict[str, Any]:
    names = ("parameters", "seconds_per_epoch", "epochs", "best_epoch", "checkpoint")
    return {name: getattr(one, name, None) for name in names}


def _count(checkpoint: Checkpoint) -> int:
    """Trained weights: statistics of structural columns are in the file, too, and are not counted."""
    from price_fusion.models.build import PriceModel
    from price_fusion.models.counts import TOTAL, parameter_counts

    return parameter_counts(PriceModel(checkpoint.header.sources, checkpoint.header.model))[TOTAL]


def _training_problems(header: CheckpointHeader, declared: VariantParameters, other: Sequence[str]) -> list[str]:
    name = header.variant
    found = [f"other data ({', '.join(other)})"] if other else []
    if tuple(header.sources) != declared.sources:
        found.append(f"sources {', '.join(header.sources)} (declared: {', '.join(declared.sources)})")
    if header.model != declared.model:
        found.append("another composition than the declared one")
    if not found:
        return []
    return [f"{name}.checkpoint: trained with {'; '.join(found)}; run: kedro run --pipelines train_{name}"]


def _evaluation_problems(
    header: CheckpointHeader, results: pd.DataFrame, samples: pd.DataFrame, split_table: pd.DataFrame
) -> list[str]:
    if _covers(results, samples, split_table):
        return []
    name = header.variant
    return [
        f"{name}.evaluation_results: of other rows than those of the split ({len(results)} rows); "
        f"run: kedro run --pipelines evaluate_{name}"
    ]


def _covers(results: pd.DataFrame, samples: pd.DataFrame, split_table: pd.DataFrame) -> bool:
    """Whether results are of exactly the rows that are evaluated now, with their prices (CSV keeps 15 digits)."""
    chosen = samples[(split_table["split"] == evaluated_split(split_table)).to_numpy()]
    return same_ids(results["sample_id"], chosen["sample_id"]) and np.allclose(
        results["price"], chosen["price"], rtol=1e-9, atol=0
    )


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise ComparisonError(
            f"{len(problems)} file(s) are stale: they do not come from the current data and configuration:\n{listing}\n"
            "Then compare again with --only-missing-outputs; without it, 'kedro run --pipelines compare' makes everything anew."
        )
