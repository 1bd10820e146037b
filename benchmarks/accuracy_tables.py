"""Tables and goals of benchmarks/accuracy.py, of all records that are there."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy_records import Record, jobs_of, read_record
from bench import Bench, Values
from common import Column, Goal, ResultTable, Section
from contenders import Model
from outer_folds import OUTER_FOLDS, SEED, OuterFold
from price_fusion.metrics.bootstrap import mean_interval, paired_difference
from price_fusion.metrics.price_metrics import price_metrics, smape_per_product
from price_fusion.models.estimators import ESTIMATORS

GOALS = {"moe": 53.5, "ensemble quick": 51.3, "ensemble full": 50.8}
"""SMAPE in percent, at most, over all outer folds."""


@dataclass(frozen=True)
class Outcome:
    """What a model said of all rows that it has been measured on."""

    name: str
    family: str
    prices: Values
    """(N,) in USD; NaN where it was not measured."""
    seconds: Mapping[int, float]
    """Of training, by outer fold."""
    details: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def rows(self) -> NDArray[np.bool_]:
        """(N,) where it was measured."""
        return ~np.isnan(self.prices)

    def on(self, outer: OuterFold) -> Outcome:
        """The same, on one outer fold alone."""
        prices = np.full(len(self.prices), np.nan)
        prices[outer.scored] = self.prices[outer.scored]
        number = outer.number
        return replace(self, prices=prices, seconds={fold: s for fold, s in self.seconds.items() if fold == number})


def read_records(bench: Bench, models: Sequence[Model]) -> list[tuple[Model, Record]]:
    """All that are there, by any version of a package."""
    jobs = jobs_of(bench, models, range(OUTER_FOLDS))
    return [(job.model, record) for job in jobs if (record := read_record(bench, job)) is not None]


def outcomes_by_seed(bench: Bench, records: Sequence[tuple[Model, Record]]) -> dict[str, dict[int, Outcome]]:
    """Outcomes by model and seed."""
    parts: dict[str, dict[int, list[tuple[Model, Record]]]] = defaultdict(lambda: defaultdict(list))
    for model, record in records:
        if "failed" not in record:
            parts[model.name][record["seed"]].append((model, record))
    return {name: {seed: _outcome(bench, own) for seed, own in by_seed.items()} for name, by_seed in parts.items()}


def _outcome(bench: Bench, records: Sequence[tuple[Model, Record]]) -> Outcome:
    model, found = records[0][0], {record["fold"]: record for _, record in records}
    prices = np.full(len(bench.samples), np.nan)
    for fold, record in found.items():
        prices[bench.outer_folds[fold].scored] = record["prices"]
    seconds = {fold: record["seconds"] for fold, record in found.items()}
    return Outcome(model.name, model.family, prices, seconds, {fold: one["details"] for fold, one in found.items()})


def mean_of_seeds(by_seed: Mapping[int, Outcome]) -> Outcome:
    """The mean log price of all seeds' models, where all were measured."""
    ones = list(by_seed.values())
    logs = np.mean([np.log1p(one.prices) for one in ones], axis=0)
    folds = set.intersection(*(set(one.seconds) for one in ones))
    seconds = {fold: sum(one.seconds[fold] for one in ones) for fold in sorted(folds)}
    return Outcome(f"{ones[0].name}, mean of {len(ones)} seeds", "mean of seeds", np.expm1(logs), seconds)


def fill(section: Section, bench: Bench, models: Sequence[Model]) -> None:
    """Tables and goals of all records that are there."""
    records = read_records(bench, models)
    by_model = outcomes_by_seed(bench, records)
    singles = [by_seed[SEED] for by_seed in by_model.values() if SEED in by_seed]
    means = [mean_of_seeds(by_seed) for by_seed in by_model.values() if len(by_seed) > 1]
    outcomes = [one for one in (*singles, *means) if one.rows.any()]
    best = best_variant(bench, outcomes)
    tables = [
        accuracy_table("Accuracy of all models", "the best variant", bench, outcomes, best, notes_of(records)),
        table_of_first_fold(bench, outcomes),
        seed_table([seed_row(bench, by_model[one.name.split(",")[0]]) for one in means if one.rows.any()]),
    ]
    section.tables = [table for table in tables if table.rows]
    section.goals = list(goals(bench, outcomes))
    section.values = {
        "smape_of_folds": {one.name: smape_of_folds(bench, one) for one in outcomes},
        "ensembles": {one.name: one.details for one in outcomes if one.family.startswith("ensemble")},
    }


def notes_of(records: Sequence[tuple[Model, Record]]) -> list[str]:
    """What the figures are of."""
    packages = sorted({record["package"] for _, record in records if record["package"]})
    failed = [record for _, record in records if "failed" in record]
    return [
        f"{OUTER_FOLDS} outer folds, groups whole, each with its share of each price quantile; a fold's rows are predicted by "
        "models that were fitted, stopped and blended on the other folds alone; pooled over the folds measured",
        "95 % intervals: bootstrap of groups. Behind the best variant: difference of SMAPE on the rows that both predicted, "
        "in points; the best one is chosen on these very rows",
        "variants as configured, which select nothing, are fitted on all rows of the other folds, and so are estimators, "
        "with settings that 10 % of them chose, LightGBM with extra trees among them; the reference's settings, RealMLP, TabM "
        "and AutoGluon are fitted on 90 % of them, the other 10 % are to stop or select on; ensembles cross-validate on the "
        "other folds",
        "estimators, RealMLP, TabM and AutoGluon read one matrix of all sources; RealMLP and TabM have the tuned defaults of "
        "pytabkit, AutoGluon its preset medium_quality for 20 minutes; the loss of all is the mean absolute error of the log "
        "price, as ours have it",
        "training: of one outer fold, median over folds; of an ensemble or a mean of seeds all models together",
        f"runs of commit(s) {', '.join(sorted({record['revision'] for _, record in records}))}"
        + (f"; {', '.join(packages)}" if packages else ""),
        *(f"{one['model']}, outer fold {one['fold']}, seed {one['seed']} failed: {one['failed']}" for one in failed),
    ]


def table_of_first_fold(bench: Bench, outcomes: Sequence[Outcome]) -> ResultTable:
    """Outer fold 0, on which models that take long are measured, too; beside the ensemble."""
    first = [one for one in (each.on(bench.outer_folds[0]) for each in outcomes) if one.rows.any()]
    ensembles = [one for name in ("full", "quick") for one in first if one.name == f"ensemble {name}"]
    baseline = ensembles[0] if ensembles else best_variant(bench, first)
    name = baseline.name if baseline else "nothing"
    return accuracy_table("Accuracy on outer fold 0", name, bench, first, baseline, ())


def accuracy_table(
    title: str,
    baseline_name: str,
    bench: Bench,
    outcomes: Sequence[Outcome],
    baseline: Outcome | None,
    notes: Sequence[str],
) -> ResultTable:
    """Models from best to worst, each beside one of them."""
    columns = (
        Column("model", "model"),
        Column("rows", "rows", ",d"),
        Column("folds", "outer folds"),
        Column("smape", "SMAPE, %", ".2f"),
        Column("low", "95 % from", ".2f"),
        Column("high", "to", ".2f"),
        Column("mae", "MAE, USD", ".2f"),
        Column("rmse", "RMSE, USD", ".2f"),
        Column("behind", f"behind {baseline_name}", "+.2f"),
        Column("behind_low", "95 % from", "+.2f"),
        Column("behind_high", "to", "+.2f"),
        Column("seconds", "training, s", ",.1f"),
    )
    rows = [accuracy_row(bench, one) | difference_to(bench, one, baseline) for one in outcomes]
    return ResultTable(title, columns, sorted(rows, key=lambda row: row["smape"]), notes)


def accuracy_row(bench: Bench, outcome: Outcome) -> dict[str, Any]:
    """Figures of one model alone."""
    rows = outcome.rows
    predicted, true = outcome.prices[rows], bench.prices[rows]
    low, high = mean_interval(smape_per_product(predicted, true), bench.groups[rows])
    return {
        "model": outcome.name,
        "rows": int(rows.sum()),
        "folds": " ".join(map(str, outcome.seconds)),
        **price_metrics(predicted, true),
        "low": low,
        "high": high,
        "seconds": statistics.median(outcome.seconds.values()),
    }


def difference_to(bench: Bench, outcome: Outcome, baseline: Outcome | None) -> dict[str, float | None]:
    """Paired difference of SMAPE on the rows that both predicted."""
    nothing: dict[str, float | None] = {"behind": None, "behind_low": None, "behind_high": None}
    if baseline is None or outcome.name == baseline.name:
        return nothing
    rows = outcome.rows & baseline.rows
    if not rows.any():
        return nothing
    own, other = (smape_per_product(one.prices[rows], bench.prices[rows]) for one in (outcome, baseline))
    found = paired_difference(own, other, bench.groups[rows])
    return {"behind": found.mean, "behind_low": found.low, "behind_high": found.high}


def mean_smape(bench: Bench, outcome: Outcome) -> float:
    """In percent."""
    rows = outcome.rows
    return float(smape_per_product(outcome.prices[rows], bench.prices[rows]).mean())


def smape_of_folds(bench: Bench, outcome: Outcome) -> dict[int, float]:
    """In percent, by outer fold."""
    return {fold: mean_smape(bench, outcome.on(bench.outer_folds[fold])) for fold in outcome.seconds}


def best_variant(bench: Bench, outcomes: Sequence[Outcome]) -> Outcome | None:
    """The best single model of our variants, among those with the most rows."""
    variants = [one for one in outcomes if one.family == "variants"]
    return min(variants, key=lambda one: (-one.rows.sum(), mean_smape(bench, one)), default=None)


def goals(bench: Bench, outcomes: Sequence[Outcome]) -> Iterator[Goal]:
    """Those whose models have been measured; of a single model, the best that was."""
    single = [one for one in outcomes if one.family in ("variants", *ESTIMATORS)]
    if single:
        best = min(single, key=lambda one: (-one.rows.sum(), mean_smape(bench, one)))
        yield _goal(f"SMAPE of the best single model ({best.name})", 52.5, bench, best)
    for one in outcomes:
        if one.name in GOALS:
            yield _goal(f"SMAPE of {one.name}", GOALS[one.name], bench, one)


def _goal(name: str, wanted: float, bench: Bench, outcome: Outcome) -> Goal:
    return Goal(name, wanted, mean_smape(bench, outcome), "%", at_least=False)


def seed_row(bench: Bench, by_seed: Mapping[int, Outcome]) -> dict[str, Any]:
    """Single seeds beside their mean, on the rows that all of them predicted."""
    mean = mean_of_seeds(by_seed)
    singles = [
        mean_smape(bench, replace(one, prices=np.where(mean.rows, one.prices, np.nan))) for one in by_seed.values()
    ]
    together = mean_smape(bench, mean)
    return {
        "variant": next(iter(by_seed.values())).name,
        "seeds": len(singles),
        "rows": int(mean.rows.sum()),
        "single": statistics.mean(singles),
        "deviation": statistics.stdev(singles),
        "together": together,
        "gain": statistics.mean(singles) - together,
    }


def seed_table(rows: Sequence[Mapping[str, Any]]) -> ResultTable:
    """What a seed changes, and what several models gain."""
    columns = (
        Column("variant", "variant"),
        Column("seeds", "seeds", "d"),
        Column("rows", "rows", ",d"),
        Column("single", "SMAPE of single seeds, %", ".2f"),
        Column("deviation", "sd over seeds", ".2f"),
        Column("together", "SMAPE of their mean, %", ".2f"),
        Column("gain", "gain", ".2f"),
    )
    notes = ["a seed draws the weights and the order of the rows; folds are the same for all"]
    return ResultTable("Single models and the mean of several seeds", columns, rows, notes)
