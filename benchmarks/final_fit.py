"""What it gains to repeat the evaluated training on all labelled rows, and whether its intervals still hold.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest
    python benchmarks/final_fit.py
    python benchmarks/final_fit.py --outer-folds 0 1

The outer folds are those of benchmarks/accuracy.py. The products of each are predicted twice: by a model that was evaluated
as a user's is, with a split of the other four folds by ``splitting.proportions``, and by its final fit on all of them. A
variant is trained on 70 % of them and calibrated on 10 %; an ensemble is cross-validated and fitted on all but the holdout.
What was measured is kept in <data>/benchmarks/final_fit and not measured again, unless the data or the settings are others;
the JSON is of all that is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from accuracy_records import settings_digest
from bench import VARIANTS, Bench, add_bench_arguments, opened_bench
from common import (
    Column,
    ResultTable,
    console,
    parse_arguments,
    revision,
    start,
)
from contenders import blended, cross_validated, known_models
from outer_folds import OUTER_FOLDS, SEED, OuterFold
from price_fusion.data.roles import roles_of_split
from price_fusion.data.splits import split_samples
from price_fusion.evaluation.calibration import calibrated
from price_fusion.metrics.bootstrap import mean_interval, paired_difference
from price_fusion.metrics.intervals import interval_columns
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import EnsemblePreset, VariantParameters
from price_fusion.prediction.ensemble import Ensemble, load_ensemble, save_ensemble
from price_fusion.prediction.predictor import Predictor
from price_fusion.selection.cross_validation import LabelledData
from price_fusion.selection.final_fit import final_checkpoint, fit_ensemble
from price_fusion.storage.files import whole_file
from price_fusion.training.loader.training_data import training_data
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant

LEVELS = (0.8, 0.9)
WAYS = ("evaluated", "final")
GAIN = (
    Column("model", "model"),
    Column("folds", "outer folds"),
    Column("rows", "rows", ",d"),
    Column("evaluated_rows", "evaluated: train rows", ",.0f"),
    Column("evaluated", "SMAPE, %", ".2f"),
    Column("final_rows", "final: train rows", ",.0f"),
    Column("final", "SMAPE, %", ".2f"),
    Column("difference", "final - evaluated, points", "+.2f"),
    Column("low", "95 % from", "+.2f"),
    Column("high", "to", "+.2f"),
    Column("steps", "steps of both", ",d"),
    Column("evaluated_seconds", "evaluated: s", ",.1f"),
    Column("final_seconds", "final: s", ",.1f"),
)
COVERAGE = (
    Column("model", "model"),
    Column("level", "level, %", ".0f"),
    Column("evaluated", "evaluated: true price inside, %", ".1f"),
    Column("evaluated_width", "median width / price", ".2f"),
    Column("final", "final: true price inside, %", ".1f"),
    Column("low", "95 % from", ".1f"),
    Column("high", "to", ".1f"),
    Column("final_width", "median width / price", ".2f"),
)
ENSEMBLE = "ensemble quick"
MODELS = (*VARIANTS, ENSEMBLE)
SMOKE = {"models": ["two_branch", ENSEMBLE], "variants": ["two_branch"], "outer_folds": [0, 1], "epochs": 1}

Record = dict[str, Any]


@dataclass(frozen=True)
class Fits:
    """An evaluated model and its final fit."""

    evaluated: Checkpoint | Ensemble
    final: Checkpoint | Ensemble
    seconds: Mapping[str, float]
    """Of training, by way."""
    steps: int | None = None
    """Of a network."""


def measure(bench: Bench, name: str, outer: OuterFold) -> Record:
    """Predictions of an outer fold by the evaluated model and by its final fit."""
    samples = bench.samples.iloc[outer.others].reset_index(drop=True)
    splitting = bench.configuration.splitting
    split_table = split_samples(
        samples,
        fractions=splitting.fractions,
        price_quantiles=splitting.price_quantiles,
        folds=splitting.folds,
        tuned_on={},
        seed=SEED + 1 + outer.number,
    )
    variant = bench.configuration.variants.get(name)
    labelled = LabelledData(samples, split_table, bench.sources(variant.sources) if variant else bench.tables)
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as folder:
        fits = (
            variant_fits(name, variant, labelled, Path(folder))
            if variant
            else ensemble_fits(bench, bench.configuration.ensemble.presets["quick"], labelled, Path(folder))
        )
        scored = bench.samples.iloc[outer.scored]
        return {
            "model": name, "fold": outer.number, "revision": revision(), "seconds": dict(fits.seconds), "steps": fits.steps,
            "train_rows": {"evaluated": fits.evaluated.rows, "final": fits.final.rows},
            **{way: Predictor(one).price_samples(scored, labelled.tables, LEVELS).to_dict("list")
               for way, one in zip(WAYS, (fits.evaluated, fits.final), strict=True)},
        }  # fmt: skip


def variant_fits(name: str, variant: VariantParameters, labelled: LabelledData, folder: Path) -> Fits:
    """As the stages ``training`` and ``final_fit`` do it."""
    began = perf_counter()
    evaluated = trained(name, variant, labelled)
    between = perf_counter()
    final = final_checkpoint(evaluated, labelled, variant.train, RunFolder(folder))
    seconds = {"evaluated": between - began, "final": perf_counter() - between}
    return Fits(evaluated, final, seconds, final.header.training.steps if final.header.training else None)


def ensemble_fits(bench: Bench, preset: EnsemblePreset, labelled: LabelledData, folder: Path) -> Fits:
    """As the pipelines ``ensemble`` and ``predict_ensemble`` do it."""
    members = [cross_validated(bench, member, preset, labelled, SEED, folder / "folds") for member in preset.members]
    evaluated = blended(bench, members, labelled, folder / "evaluated")
    draft = fit_ensemble(
        evaluated,
        labelled,
        {member: FoldFolder(member, folder / "refits" / member) for member in preset.members},
        {name: variant.train for name, variant in bench.configuration.variants.items()},
        bench.estimator_options,
    )
    save_ensemble(folder / "final", draft)
    seconds = {
        "evaluated": sum(one.models.seconds for one in members),
        "final": sum(member.seconds for member in draft.manifest.members if member.weight > 0),
    }
    return Fits(evaluated, load_ensemble(folder / "final"), seconds)


def trained(name: str, variant: VariantParameters, labelled: LabelledData) -> Checkpoint:
    """As the stage ``training`` does it."""
    samples, split_table, tables = labelled.samples, labelled.split_table, labelled.tables
    roles = roles_of_split(samples, split_table, selects=variant.train.selects, seed=SEED)
    data = training_data(samples, split_table, tables, variant.train.device, roles=roles)
    checkpoint = train_variant(name, variant, data, seed=SEED, run=None, quiet=True).checkpoint
    return calibrated(checkpoint, samples, roles.calibrate, tables, LEVELS)


def gain_row(bench: Bench, name: str, records: Sequence[Record]) -> dict[str, Any]:
    """SMAPE of both on all rows measured, and their paired difference."""
    true, groups, found = pooled(bench, records)
    smape = {way: smape_per_product(found[way]["price"].to_numpy(), true) for way in WAYS}
    difference = paired_difference(smape["final"], smape["evaluated"], groups)
    return {
        "model": name, "folds": " ".join(str(one["fold"]) for one in records), "rows": len(true),
        **{way: float(smape[way].mean()) for way in WAYS},
        **{f"{way}_rows": float(np.mean([one["train_rows"][way] for one in records])) for way in WAYS},
        **{f"{way}_seconds": float(np.median([one["seconds"][way] for one in records])) for way in WAYS},
        "difference": difference.mean, "low": difference.low, "high": difference.high,
        "steps": records[0]["steps"],
    }  # fmt: skip


def coverage_rows(bench: Bench, name: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """How often intervals of both hold the true price, by level."""
    true, groups, found = pooled(bench, records)
    rows = []
    for level, (low, high) in zip(LEVELS, interval_columns(LEVELS), strict=True):
        inside = {way: 100.0 * ((found[way][low] <= true) & (true <= found[way][high])).to_numpy() for way in WAYS}
        width = {way: ((found[way][high] - found[way][low]) / found[way]["price"]).median() for way in WAYS}
        bounds = mean_interval(inside["final"], groups)
        rows.append(
            {"model": name, "level": 100 * level, **{way: float(inside[way].mean()) for way in WAYS},
             **{f"{way}_width": float(width[way]) for way in WAYS}, "low": bounds.low, "high": bounds.high}
        )  # fmt: skip
    return rows


def pooled(bench: Bench, records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray, dict[str, pd.DataFrame]]:
    """True prices and groups of all rows measured, and what both models said of them."""
    rows = np.concatenate([bench.outer_folds[one["fold"]].scored for one in records])
    found = {way: pd.concat([pd.DataFrame(one[way]) for one in records], ignore_index=True) for way in WAYS}
    return bench.prices[rows], bench.groups[rows], found


def read(path: Path) -> Record | None:
    """A record, if there is one."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def make_what_is_missing(
    bench: Bench, wanted: Sequence[tuple[str, int]], path_of: Mapping[tuple[str, int], Path]
) -> None:
    """Make record after record, and say what was found."""
    missing = [one for one in wanted if not path_of[one].exists()]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} records are there; {len(missing)} to go")
    for name, fold in missing:
        record = measure(bench, name, bench.outer_folds[fold])
        with whole_file(path_of[name, fold]) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        row = gain_row(bench, name, [record])
        console.print(
            f"{name}, outer fold {fold}: {row['evaluated']:.2f} %, final {row['final']:.2f} % ({row['difference']:+.2f} "
            f"[{row['low']:+.2f}, {row['high']:+.2f}])",
            highlight=False,
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--outer-folds", nargs="+", type=int, choices=range(OUTER_FOLDS), default=range(OUTER_FOLDS))
    add_bench_arguments(parser)
    return parse_arguments(parser, SMOKE)


def main() -> None:
    options = parse()
    start("final fit")
    with opened_bench(options, "final_fit", "The final fit") as (bench, section):
        digests = {one.name: settings_digest(bench, one) for one in known_models(bench, 1) if one.name in MODELS}
        path_of = {
            (name, fold): bench.records / f"{name.replace(' ', '-')}-fold-{fold}-{digest}.json"
            for name, digest in digests.items()
            for fold in range(OUTER_FOLDS)
        }
        make_what_is_missing(bench, [(name, fold) for fold in options.outer_folds for name in options.models], path_of)
        there = {name: [one for fold in range(OUTER_FOLDS) if (one := read(path_of[name, fold]))] for name in MODELS}
        there = {name: found for name, found in there.items() if found}
        notes = [
            f"{OUTER_FOLDS} outer folds; of the other four, {bench.configuration.splitting.proportions} are train, validation "
            "and holdout of the evaluated model; the final fit takes as many steps on all of them",
            "an evaluated ensemble is cross-validated on all but the holdout, and its models are fitted on those; the final fit "
            "repeats these fits on all and keeps weights and intervals",
            "95 % intervals: bootstrap of groups of products; differences are paired",
            f"runs of commit(s) {', '.join(sorted({one['revision'] for found in there.values() for one in found}))}",
        ]
        rows = partial(gain_row, bench)
        section.tables = [
            ResultTable(
                "Fitted on all labelled rows", GAIN, [rows(name, found) for name, found in there.items()], notes
            ),
            ResultTable(
                "Intervals of the evaluated model around prices of its final fit",
                COVERAGE,
                [row for name, found in there.items() for row in coverage_rows(bench, name, found)],
            ),
        ]
        section.finish(options)


if __name__ == "__main__":
    main()
