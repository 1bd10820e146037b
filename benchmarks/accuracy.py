"""How good the prices are: each model on real products that nothing of it has seen.

    PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest
    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --models variants --seeds 5
    python benchmarks/accuracy.py --models RealMLP TabM --outer-folds 0
    kedro run --pipelines fabricate && kedro run --pipelines ingest
    python benchmarks/accuracy.py --environment base --data data --models median ridge --output <folder>

The labelled products are dealt to five outer folds. The rows of each are predicted by models that were fitted, stopped and
blended on the other four alone. What is predicted is kept in <data>/benchmarks/accuracy and not done again, unless the data
or the settings are others; the JSON is of all that is there. Processes may run side by side, but not the two ensembles of
one outer fold: they share models.

RealMLP and TabM are pytabkit's: pip install pytabkit.
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

import argparse
import hashlib
import importlib
import json
import logging
import math
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import rich
import torch
import yaml
from numpy.typing import NDArray
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from common import (
    REPOSITORY,
    Column,
    Goal,
    ResultTable,
    Section,
    console,
    parse_arguments,
    random_samples,
    revision,
    scratch_folder,
    start,
    write_random_tables,
)
from price_fusion.data.columns import draft_columns
from price_fusion.data.roles import Roles
from price_fusion.data.splits import split_samples
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.errors import DataError, PriceFusionError
from price_fusion.metrics.bootstrap import mean_interval, paired_difference
from price_fusion.metrics.price_metrics import price_metrics, smape_per_product
from price_fusion.metrics.price_scale import PriceScale
from price_fusion.models.estimators import ESTIMATORS, EstimatorOptions, fit_data, fit_estimator
from price_fusion.models.features import features_from_tables
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import (
    ColumnSourceParameters,
    EnsembleParameters,
    EnsemblePreset,
    SourceParameters,
    SplittingParameters,
    VariantParameters,
)
from price_fusion.prediction.ensemble import OutOfFold, build_ensemble, load_ensemble, save_ensemble
from price_fusion.prediction.predictor import Predictor
from price_fusion.selection.cross_validation import (
    LabelledData,
    cross_validate_estimator,
    cross_validate_variant,
    out_of_fold,
)
from price_fusion.storage.files import whole_file
from price_fusion.storage.fingerprint import frame_fingerprint
from price_fusion.training.loader.training_data import training_data
from price_fusion.training.recipe import data_fingerprints
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant

OUTER_FOLDS = 5
SEED = 41
"""Of the outer folds and of each model; further seeds follow it."""
FIT_AND_STOP = (0.9, 0.1, 0.0)
"""Shares of the rows outside an outer fold, for models that select something."""
VARIANTS = ("two_branch", "moe", "four_branch", "hierarchical")
PACKAGES = {"lightgbm": "lightgbm", "catboost": "catboost", "RealMLP": "pytabkit", "TabM": "pytabkit"}
"""What a family needs beside this project."""
PYTABKIT = {
    name: (classname, {"n_cv": 1, "n_refit": 0, "train_metric_name": "mae", "val_metric_name": "mae"})
    for name, classname in (("RealMLP", "RealMLP_TD_Regressor"), ("TabM", "TabM_D_Regressor"))
}
"""Classes and what differs from their tuned defaults: as ours do, they minimise the mean absolute error of the log price."""
GUESSES = {
    "median": 0.1,
    "ridge": 5,
    "kernel_ridge": 15,
    "neighbours": 10,
    "lightgbm": 60,
    "catboost": 60,
    "variants": 45,
    "reference": 90,
    "ensemble_quick": 600,
    "ensemble_full": 2_000,
    "RealMLP": 600,
    "TabM": 1_200,
}
"""Seconds of one outer fold and seed on 2 cores, to tell how long it will be until a first one is measured."""
FAMILIES = tuple(GUESSES)
SMOKE = {
    "models": ["median", "ridge", "variants", "reference", "ensemble_quick"],
    "variants": ["two_branch", "moe"],
    "outer_folds": [0, 1],
    "seeds": 2,
    "epochs": 1,
}
SMOKE_ROWS = 400
SMOKE_SOURCES = {
    "word_svd": SourceParameters(width=32, group="full"),
    "char_svd": SourceParameters(width=35, group="full", structural_columns=3),
}

Rows = NDArray[np.int64]
Values = NDArray[np.float64]
Record = dict[str, Any]


class Data(NamedTuple):
    """Products of an environment of ``conf``."""

    name: str
    command: str
    """Makes their tables."""


DATA = {
    "amazon_subset": Data(
        "real products of the Amazon ML Challenge 2025 (subset)",
        "PRICE_FUSION_RAW=<folder of the real products> kedro run --env amazon_subset --pipelines ingest",
    ),
    "base": Data("the fabricated sample", "kedro run --pipelines fabricate && kedro run --pipelines ingest"),
}
"""By environment."""


@dataclass(frozen=True)
class OuterFold:
    """Rows to price, and the rows to do everything else with."""

    number: int
    split_table: pd.DataFrame
    """``holdout`` are the rows to price; the others are ``train`` and have inner folds."""
    fit: Rows
    stop: Rows
    """A tenth of the other rows, groups whole: for models that select something."""
    priced: Rows

    @property
    def others(self) -> Rows:
        """Fit and stop rows."""
        return np.union1d(self.fit, self.stop)

    def roles(self, *, selects: bool) -> Roles:
        """For one model."""
        none = self.stop[:0]
        return Roles(self.fit if selects else self.others, self.stop if selects else none, none, self.priced)


@dataclass(frozen=True)
class Configuration:
    """Parameters as ``conf`` has them for the real products."""

    variants: Mapping[str, VariantParameters]
    reference: Mapping[str, VariantParameters]
    """The reference's hyper-parameters and sources."""
    ensemble: EnsembleParameters
    splitting: SplittingParameters
    rounds: int
    """Trees at most."""


@dataclass(frozen=True)
class Bench:
    """All that models work with."""

    samples: pd.DataFrame
    tables: Mapping[str, EmbeddingTable]
    configuration: Configuration
    records: Path
    """Folder of the records."""
    threads: int
    """0: all cores."""

    @cached_property
    def prices(self) -> Values:
        """True ones, (N,) in USD."""
        return self.samples["price"].to_numpy(np.float64)

    @cached_property
    def groups(self) -> Rows:
        """(N,) of what belongs together."""
        return self.samples["group_key"].to_numpy(np.int64)

    @cached_property
    def outer_folds(self) -> list[OuterFold]:
        """All of them."""
        return outer_folds(self.samples, self.configuration.splitting)

    def models_folder(self, fold: int) -> Path:
        """Fold models of ensembles under way."""
        return self.records / f"models-of-fold-{fold}"

    def sources(self, names: Sequence[str]) -> dict[str, EmbeddingTable]:
        """Tables of some sources, in their order."""
        return {name: self.tables[name] for name in names}


@dataclass(frozen=True)
class Priced:
    """Prices of the rows of an outer fold."""

    prices: Values
    seconds: float
    """Of training alone."""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """Something that predicts prices."""

    name: str
    family: str
    tables: Mapping[str, EmbeddingTable]
    settings: Mapping[str, Any]
    """All that decides its prices beside data, folds and seed."""
    price: Callable[[OuterFold, int], Priced]
    seeds: int = 1
    """At most; further ones are not wanted."""

    @property
    def package(self) -> str | None:
        """Name and version of the package that it needs, None if it needs none."""
        name = PACKAGES.get(self.family)
        return name and f"{name} {version(name)}"

    @property
    def is_available(self) -> bool:
        """Whether the package that it needs is installed."""
        name = PACKAGES.get(self.family)
        return name is None or find_spec(name) is not None


@dataclass(frozen=True)
class Job:
    """One record to make."""

    model: Model
    outer: OuterFold
    seed: int
    digest: str

    @property
    def file(self) -> str:
        """Of the record."""
        name = self.model.name.replace(" ", "-")
        return f"{name}-fold-{self.outer.number}-seed-{self.seed}-{self.digest}.json"

    @property
    def is_of_ensemble(self) -> bool:
        """Whether it leaves fold models behind."""
        return self.model.family.startswith("ensemble")

    @property
    def label(self) -> str:
        """For progress lines."""
        return f"{self.model.name}, outer fold {self.outer.number}, seed {self.seed}"


# --- data and configuration -----------------------------------------------------------------------------------------


def load_products(folder: Path, environment: str) -> tuple[pd.DataFrame, dict[str, EmbeddingTable]]:
    """Samples and tables as ``ingest`` left them in an environment of ``conf``.

    Raises:
        SystemExit: saying how to make them, if they are not there.
    """
    primary, declared = folder / "03_primary", declared_variants(environment)
    names = dict.fromkeys(source for variant in VARIANTS for source in declared[variant]["sources"])
    try:
        samples = pd.read_parquet(primary / "train_samples.parquet")
        tables = {name: EmbeddingTable(primary / "tables" / name / "train") for name in names}
        absent = [name for name in names if f"row_{name}" not in samples]
        if absent:
            raise DataError(f"{primary}: the sample table lacks the source(s) {', '.join(absent)}.")
    except (DataError, OSError) as error:
        raise SystemExit(f"{error}\nMake the tables with\n  {DATA[environment].command}") from error
    return samples, tables


def fabricated_products(folder: Path) -> tuple[pd.DataFrame, dict[str, EmbeddingTable]]:
    """Random products, for smoke tests."""
    samples = random_samples(SMOKE_ROWS, [*SMOKE_SOURCES, "quantity"])
    tables = write_random_tables(folder, SMOKE_SOURCES, SMOKE_ROWS)
    amounts = np.random.default_rng(99).lognormal(2, 1, SMOKE_ROWS)
    products = pd.DataFrame({"sample_id": samples["sample_id"], "amount": amounts.astype(str)})
    declaration = ColumnSourceParameters(kind="columns", group="quantity", numeric=("amount",))
    write_table(folder / "quantity", "quantity", draft_columns(products, declaration, "random products"))
    return samples, tables | {"quantity": EmbeddingTable(folder / "quantity")}


def read_conf(path: str) -> dict[str, Any]:
    """A YAML file below ``conf``."""
    contents: dict[str, Any] = yaml.safe_load((REPOSITORY / "conf" / path).read_text(encoding="utf-8"))
    return contents


def declared_variants(environment: str) -> dict[str, Any]:
    """Parameters of variants in an environment of ``conf``."""
    base = read_conf("base/training/parameters.yml")
    return base if environment == "base" else merged(base, read_conf(f"{environment}/parameters.yml"))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of one environment over those of another, as Kedro merges them."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def configuration(options: argparse.Namespace, tables: Mapping[str, EmbeddingTable]) -> Configuration:
    """As ``kedro run --env <environment>`` would have it; ``reference`` as with conf/reference over it."""
    ours = declared_variants(options.environment)
    theirs = merged(ours, read_conf("reference/parameters.yml"))
    for name in VARIANTS:
        theirs[name]["sources"] = [source for source in ours[name]["sources"] if not is_of_columns(tables, source)]
    ensemble = read_conf("base/ensembling/parameters.yml")["ensemble"]
    splitting = read_conf("base/splitting/parameters.yml")["splitting"]
    if options.smoke:
        members = [*options.variants, "ridge"]
        ensemble |= {"preset": "quick", "presets": {"quick": {"members": members}}}
        splitting["folds"] = 2
    return Configuration(
        variants={name: parsed_variant(ours[name], options.epochs) for name in VARIANTS},
        reference={name: parsed_variant(theirs[name], options.epochs) for name in VARIANTS},
        ensemble=EnsembleParameters.model_validate(ensemble),
        splitting=SplittingParameters.model_validate(splitting),
        rounds=read_conf("base/comparison/parameters.yml")["comparison"]["boosting_rounds"],
    )


def is_of_columns(tables: Mapping[str, EmbeddingTable], source: str) -> bool:
    """Whether a source is read from columns of the product table; the reference knows none of them."""
    return source in tables and isinstance(tables[source].declaration, ColumnSourceParameters)


def parsed_variant(declared: Mapping[str, Any], epochs: int | None) -> VariantParameters:
    """A variant, with other epochs if some are given."""
    return VariantParameters.model_validate(merged(declared, {"train": {"epochs": epochs}} if epochs else {}))


def outer_folds(samples: pd.DataFrame, splitting: SplittingParameters) -> list[OuterFold]:
    """All outer folds, each with its inner folds and stop rows."""
    dealt = partial(split_samples, fractions=FIT_AND_STOP, price_quantiles=splitting.price_quantiles, tuned_on={})
    outer = dealt(samples, folds=OUTER_FOLDS, seed=SEED)
    return [
        _outer_fold(number, samples, outer, partial(dealt, folds=splitting.folds, seed=SEED + 1 + number))
        for number in range(OUTER_FOLDS)
    ]


def _outer_fold(
    number: int, samples: pd.DataFrame, outer: pd.DataFrame, deal: Callable[[pd.DataFrame], pd.DataFrame]
) -> OuterFold:
    priced = (outer["fold"] == number).to_numpy()
    others = np.flatnonzero(~priced)
    inner = deal(samples.iloc[others])
    folds = np.full(len(samples), -1)
    folds[others] = inner["fold"]
    table = outer.assign(split=np.where(priced, "holdout", "train"), fold=folds, tuned_on=False)
    stops = (inner["split"] == "validation").to_numpy()
    return OuterFold(number, table, others[~stops], others[stops], np.flatnonzero(priced))


def drawn(outer: OuterFold, rows: int, draw: int) -> OuterFold:
    """The outer fold with so many of its other rows alone; the rest takes no part."""
    chosen = np.random.default_rng(draw).choice(outer.others, rows, replace=False)
    there = np.zeros(len(outer.split_table), bool)
    there[chosen] = True
    table = outer.split_table.assign(
        split=np.where(there, "train", "holdout"), fold=np.where(there, outer.split_table["fold"], -1)
    )
    return replace(outer, split_table=table, fit=outer.fit[there[outer.fit]], stop=outer.stop[there[outer.stop]])


def interval_of_mean(differences: Sequence[float]) -> tuple[float, float, float]:
    """Mean of paired differences with its 95 % interval (Student's t over draws)."""
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return mean, math.nan, math.nan
    reach = (
        float(student.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
    )
    return mean, mean - reach, mean + reach


# --- models ---------------------------------------------------------------------------------------------------------


def known_models(bench: Bench, seeds: int) -> list[Model]:
    """All models, whether what they need is installed or not; those that take long come last."""
    conf = bench.configuration
    boosting = {"rounds": conf.rounds}
    models = [Model("median", "median", {}, {}, partial(price_by_median, bench))]
    models += [
        Model(
            kind,
            kind,
            bench.tables,
            {"kind": kind, "refitted": True, **boosting},
            partial(price_by_estimator, bench, kind),
        )
        for kind in ESTIMATORS
        if kind in FAMILIES
    ]
    models += [variant_model(bench, name, "variants", one, seeds) for name, one in conf.variants.items()]
    models += [variant_model(bench, name, "reference", one, 1) for name, one in conf.reference.items()]
    models += [
        ensemble_model(bench, name, preset)
        for name, preset in conf.ensemble.presets.items()
        if f"ensemble_{name}" in FAMILIES
    ]
    models += [
        Model(name, name, bench.tables, {"class": found, **arguments}, partial(price_by_pytabkit, bench, name))
        for name, (found, arguments) in PYTABKIT.items()
    ]
    return sorted(models, key=lambda model: FAMILIES.index(model.family))


def variant_model(bench: Bench, name: str, family: str, variant: VariantParameters, seeds: int) -> Model:
    """A variant with our configuration or the reference's."""
    shown = name if family == "variants" else f"reference {name}"
    tables = {source: bench.tables[source] for source in variant.sources if source in bench.tables}
    return Model(
        shown, family, tables, variant.model_dump(mode="json"), partial(price_by_variant, bench, name, variant), seeds
    )


def ensemble_model(bench: Bench, name: str, preset: EnsemblePreset) -> Model:
    """A preset; its settings are those of its members."""
    conf = bench.configuration
    members = {
        member: conf.variants[member].model_dump(mode="json") if member in conf.variants else conf.rounds
        for member in preset.members
    }
    settings = {
        "members": members,
        "seeds": preset.seeds,
        "refits": preset.refits,
        "weights": conf.ensemble.weights,
    }
    return Model(
        f"ensemble {name}", f"ensemble_{name}", bench.tables, settings, partial(price_by_ensemble, bench, preset)
    )


def price_by_median(bench: Bench, outer: OuterFold, seed: int) -> Priced:
    """One price for all."""
    began = perf_counter()
    median = np.median(bench.prices[outer.others])
    return Priced(np.full(len(outer.priced), median), perf_counter() - began)


def price_by_estimator(bench: Bench, kind: str, outer: OuterFold, seed: int) -> Priced:
    """An estimator on all sources, fitted on all other rows once the stop rows have chosen its settings."""
    sources = {name: table.declaration for name, table in bench.tables.items()}
    features = features_from_tables(bench.samples, bench.tables, sources)
    options = EstimatorOptions(rounds=bench.configuration.rounds, threads=bench.threads)
    began = perf_counter()
    logs = np.log1p(bench.prices)
    fitted = fit_estimator(
        kind, features, sources, logs, outer.fit, outer.stop, options=options, seed=seed, fit_stop_rows=True
    )
    seconds = perf_counter() - began
    return Priced(np.expm1(fitted.log_prices(features, outer.priced)), seconds)


def price_by_variant(bench: Bench, name: str, variant: VariantParameters, outer: OuterFold, seed: int) -> Priced:
    """A single network, on all other rows where training selects nothing."""
    tables, roles = bench.sources(variant.sources), outer.roles(selects=variant.train.selects)
    data = training_data(bench.samples, outer.split_table, tables, variant.train.device, roles=roles)
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as folder:
        began = perf_counter()
        trained = train_variant(name, variant, data, seed=seed, run=RunFolder(name, Path(folder)), quiet=True)
        seconds = perf_counter() - began
    prices = Predictor(trained.checkpoint).predict_samples(bench.samples.iloc[outer.priced], tables)
    return Priced(prices, seconds, {"epochs": len(trained.history)})


def price_by_ensemble(bench: Bench, preset: EnsemblePreset, outer: OuterFold, seed: int) -> Priced:
    """Members cross-validated and weighed on the inner folds, then blended as users blend them: from disk."""
    folder = bench.models_folder(outer.number)
    members = [cross_validated(bench, member, preset, outer, seed, folder) for member in preset.members]
    draft = build_ensemble(
        members,
        method=bench.configuration.ensemble.weights,
        sources={name: table.declaration for name, table in bench.tables.items()},
        dtypes={name: table.dtype for name, table in bench.tables.items()},
        data=data_fingerprints(bench.samples, outer.split_table, bench.tables),
    )
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as place:
        save_ensemble(Path(place) / "ensemble", draft)
        ensemble = load_ensemble(Path(place) / "ensemble")
        prices = Predictor(ensemble).predict_samples(bench.samples.iloc[outer.priced], bench.tables)
    details = {
        "weights": {member.name: member.weight for member in draft.manifest.members},
        "models": sum(len(one.models.final) for one in members),
        "out_of_fold_smape": draft.manifest.out_of_fold_smape,
    }
    return Priced(prices, sum(one.models.seconds for one in members), details)


def cross_validated(
    bench: Bench, member: str, preset: EnsemblePreset, outer: OuterFold, seed: int, folder: Path
) -> OutOfFold:
    """A member's models, and what they say of rows that they did not see."""
    variant = bench.configuration.variants.get(member)
    tables = bench.sources(variant.sources) if variant else bench.tables
    labelled = LabelledData(bench.samples, outer.split_table, tables)
    place = FoldFolder(member, folder / member)
    if variant:
        models = cross_validate_variant(variant, labelled, place, seeds=preset.seeds, seed=seed, refits=preset.refits)
    else:
        options = EstimatorOptions(rounds=bench.configuration.rounds, threads=bench.threads)
        models = cross_validate_estimator(member, labelled, place, options=options, seed=seed, refit=preset.refits > 0)
    return OutOfFold(models, out_of_fold(models, labelled))


def price_by_pytabkit(bench: Bench, name: str, outer: OuterFold, seed: int, **arguments: Any) -> Priced:
    """A model of pytabkit on the matrix that the estimators have.

    Args:
        bench: what to work with.
        name: key of ``PYTABKIT``.
        outer: rows.
        seed: of the model.
        arguments: others of the class, for trials.
    """
    classname, settings = PYTABKIT[name]
    sources = {source: table.declaration for source, table in bench.tables.items()}
    features = features_from_tables(bench.samples, bench.tables, sources)
    data = fit_data(features, sources, np.log1p(bench.prices), outer.fit, outer.stop)
    threads = bench.threads or torch.get_num_threads()
    regressor = getattr(importlib.import_module("pytabkit"), classname)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    model = regressor(**settings, random_state=seed, n_threads=threads, **arguments)
    began = perf_counter()
    model.fit(data.fit, data.fit_log_prices, data.stop, data.stop_log_prices)
    seconds = perf_counter() - began
    logs = np.asarray(model.predict(data.design.matrix(features, outer.priced)), np.float64).ravel()
    return Priced(PriceScale.of(bench.prices[outer.others]).prices(logs), seconds)


# --- records --------------------------------------------------------------------------------------------------------


def jobs_of(bench: Bench, models: Sequence[Model], folds: Sequence[int]) -> list[Job]:
    """All records that models should have, fold by fold, so that what is done so far is comparable at any time."""
    digests = {model.name: settings_digest(bench, model) for model in models}
    return [
        Job(model, bench.outer_folds[fold], SEED + number, digests[model.name])
        for fold in folds
        for model in models
        for number in range(model.seeds)
    ]


def settings_digest(bench: Bench, model: Model) -> str:
    """Digest of settings, folds and data; not of code."""
    everything = {
        "settings": model.settings,
        "tables": {name: table.fingerprint for name, table in model.tables.items()},
        "samples": frame_fingerprint(bench.samples),
        "folds": [OUTER_FOLDS, SEED, FIT_AND_STOP, bench.configuration.splitting.model_dump(mode="json")],
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:12]


def read_record(bench: Bench, job: Job) -> Record | None:
    """The record of a job, if there is one."""
    path = bench.records / job.file
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def is_done(bench: Bench, job: Job) -> bool:
    """Whether there is a record, made by the version of the package that is installed."""
    record = read_record(bench, job)
    return record is not None and record["package"] == job.model.package


def make_record(bench: Bench, job: Job) -> Record:
    """Fit and price; a failure is a record, too."""
    record: Record = {"model": job.model.name, "fold": job.outer.number, "seed": job.seed}
    record |= {"package": job.model.package, "revision": revision()}
    try:
        priced = job.model.price(job.outer, job.seed)
    except PriceFusionError as error:
        record["failed"] = str(error)
    else:
        record |= {"seconds": priced.seconds, "details": priced.details, "prices": priced.prices.tolist()}
    with whole_file(bench.records / job.file) as temporary:
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return record


def train_what_is_missing(bench: Bench, wanted: Sequence[Job]) -> None:
    """Make record after record, and say how far it is."""
    missing = [job for job in wanted if not is_done(bench, job)]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} records are there; {len(missing)} to go")
    seconds: dict[str, float] = {}
    for number, job in enumerate(missing, start=1):
        began = perf_counter()
        record = make_record(bench, job)
        seconds[job.model.name] = perf_counter() - began
        rest = missing[number:]
        left = sum(seconds.get(other.model.name, GUESSES[other.model.family]) for other in rest) / 60
        console.print(
            f"{number}/{len(missing)} {job.label}: {_found(bench, job, record)}; {seconds[job.model.name]:.1f} s; "
            f"about {left:.0f} min left",
            highlight=False,
        )
        if job.is_of_ensemble and not any(other.is_of_ensemble and other.outer is job.outer for other in rest):
            shutil.rmtree(bench.models_folder(job.outer.number), ignore_errors=True)


def limited_threads(threads: int) -> AbstractContextManager[Any]:
    """So many threads of linear algebra and of torch; 0: as it is."""
    if not threads:
        return nullcontext()
    torch.set_num_threads(threads)
    limited: AbstractContextManager[Any] = threadpool_limits(threads)
    return limited


def _found(bench: Bench, job: Job, record: Record) -> str:
    if "failed" in record:
        return f"failed: {record['failed']}"
    smape = smape_per_product(np.asarray(record["prices"]), bench.prices[job.outer.priced]).mean()
    return f"SMAPE {smape:.2f} %"


# --- tables ---------------------------------------------------------------------------------------------------------


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
        prices[outer.priced] = self.prices[outer.priced]
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
        prices[bench.outer_folds[fold].priced] = record["prices"]
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
    section.goals = list(goals(bench, outcomes, best))
    section.values = {
        "smape_of_folds": {one.name: smape_of_folds(bench, one) for one in outcomes},
        "ensembles": {one.name: one.details for one in outcomes if one.family.startswith("ensemble")},
    }


def notes_of(records: Sequence[tuple[Model, Record]]) -> list[str]:
    """What the figures are of."""
    packages = sorted({record["package"] for _, record in records if record["package"]})
    failed = [record for _, record in records if "failed" in record]
    return [
        f"{OUTER_FOLDS} outer folds, groups whole, each with its share of each price quantile; a fold's rows are priced by "
        "models that were fitted, stopped and blended on the other folds alone; pooled over the folds measured",
        "95 % intervals: bootstrap of groups. Behind the best variant: difference of SMAPE on the rows that both predicted, "
        "in points; the best one is chosen on these very rows",
        "variants as configured, which select nothing, are fitted on all rows of the other folds, and so are estimators, "
        "with settings that 10 % of them chose; the reference's settings, RealMLP and TabM are fitted on 90 % of them, the "
        "other 10 % are to stop or select on; ensembles cross-validate on the other folds",
        "estimators, RealMLP and TabM read one matrix of all sources; RealMLP and TabM have the tuned defaults of pytabkit, "
        "but the mean absolute error of the log price as their loss, as ours have",
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


def goals(bench: Bench, outcomes: Sequence[Outcome], best: Outcome | None) -> Iterator[Goal]:
    """Those whose models have been measured."""
    if best is not None:
        yield Goal("SMAPE of the best single variant", 55.8, mean_smape(bench, best), "%", at_least=False)
    ensembles = [one for name in ("full", "quick") for one in outcomes if one.name == f"ensemble {name}"]
    if ensembles:
        measured = mean_smape(bench, ensembles[0])
        yield Goal(f"SMAPE of the ensemble ({ensembles[0].name})", 54.5, measured, "%", at_least=False)


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


# --- the command ----------------------------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="MODEL")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--outer-folds", nargs="+", type=int, choices=range(OUTER_FOLDS), default=range(OUTER_FOLDS))
    parser.add_argument("--seeds", type=int, default=1, help="models of each variant and fold")
    parser.add_argument("--name", default="accuracy", help="of the JSON")
    parser.add_argument("--title", default="Accuracy", help="of the section")
    parser.add_argument("--report-only", action="store_true", help="train nothing, write the JSON of what is there")
    add_bench_arguments(parser)
    return parse_arguments(parser, SMOKE)


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of every benchmark that works on a ``Bench``."""
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--epochs", type=int, help="of networks, at most (default: as the variants say)")
    parser.add_argument(
        "--environment", choices=DATA, default="amazon_subset", help="of conf, whose products are taken"
    )
    parser.add_argument("--data", type=Path, default=REPOSITORY / "data/amazon_subset", help="where ingest wrote to")


@contextmanager
def opened_bench(options: argparse.Namespace, name: str, title: str) -> Iterator[tuple[Bench, Section]]:
    """Products, configuration and a folder of records named ``name``, and the section that is to be filled."""
    rich.get_console().quiet = True  # the trainer's own output
    with scratch_folder(options) as scratch, limited_threads(options.threads):
        samples, tables = (
            fabricated_products(Path(scratch)) if options.smoke else load_products(options.data, options.environment)
        )
        records = options.output / name if options.smoke else options.data / "benchmarks" / name
        records.mkdir(parents=True, exist_ok=True)
        products = "random products" if options.smoke else DATA[options.environment].name
        bench = Bench(samples, tables, configuration(options, tables), records, options.threads)
        yield bench, Section(name, title, f"{products}, {len(samples):,} labelled")


def wanted_models(models: Sequence[Model], options: argparse.Namespace) -> list[Model]:
    """The models that the options name, less those whose package is not installed."""
    variants = {name for chosen in options.variants for name in (chosen, f"reference {chosen}")}
    chosen = [model for model in models if model.family in options.models]
    chosen = [model for model in chosen if model.family not in ("variants", "reference") or model.name in variants]
    for model in chosen:
        if not model.is_available:
            console.print(f"{model.name} is left out: {PACKAGES[model.family]} is not installed", style="yellow")
    return [model for model in chosen if model.is_available]


def show_progress_of_ensembles() -> None:
    """A line per fold model."""
    logging.basicConfig(format="  %(message)s")
    logging.getLogger("price_fusion.selection.cross_validation").setLevel(logging.INFO)


def main() -> None:
    options = parse()
    start("accuracy")
    show_progress_of_ensembles()
    with opened_bench(options, "accuracy", options.title) as (bench, section):
        section.name = options.name
        if not options.report_only:
            models = wanted_models(known_models(bench, options.seeds), options)
            train_what_is_missing(bench, jobs_of(bench, models, options.outer_folds))
        fill(section, bench, known_models(bench, max(options.seeds, 5)))
        section.finish(options)


if __name__ == "__main__":
    main()
