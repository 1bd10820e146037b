"""Cross-validation: models per fold and seed, and out-of-fold predictions by models that did not see the row.

A model that is on disk already, whole and made from the same data, rows and parameters, is not trained again: an
interrupted cross-validation goes on with the model it was at, and a damaged model is trained again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.roles import Roles, folds_of, roles_of_fold, roles_of_refit
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import DataError
from price_fusion.evaluation.baselines import SplitFeatures
from price_fusion.metrics.price_scale import unit_of_split
from price_fusion.models.checkpoint import save_checkpoint
from price_fusion.models.estimators import ESTIMATORS, deciding, fit_estimator
from price_fusion.models.estimators.folder import FORMAT_VERSION
from price_fusion.models.features import features_from_tables
from price_fusion.models.folds import NETWORK, FoldFolder, FoldModel, FoldModels
from price_fusion.parameters import ComparisonParameters, VariantParameters
from price_fusion.prediction.ensemble import load_model, log_prices_of
from price_fusion.training.loader.training_data import TrainingData, training_data
from price_fusion.training.recipe import data_fingerprints, recipe, variant_recipe
from price_fusion.training.stacked.members import Member
from price_fusion.training.stacked.stacked_training import train_stacked
from price_fusion.training.trainer import train_variant

logger = logging.getLogger(__name__)

FOLD_ROWS = 2
"""Rows that a fold needs at least."""
PRICE_QUANTILES = 10
"""Price ranges of which each fold should have products; fewer where folds are small."""
ROWS_OF_QUANTILE = 5
"""Rows of a fold for each of these ranges: of fewer, chance would leave some range without any."""

Rows = NDArray[np.int64]
Values = NDArray[np.float64]
FoldRoles = Sequence[tuple[int | None, Roles]]
"""Folds with the rows that their models may use; None: the models of all rows that are not held out."""


@dataclass(frozen=True)
class FoldTask:
    """A model to train: its rows, its seed, and where it goes."""

    fold: int | None
    """None: it fits all rows that are not held out."""
    seed: int
    roles: Roles
    file: str
    recipe: str
    data: str
    """Digest of the data, which is part of the recipe."""


@dataclass(frozen=True)
class LabelledData:
    """What a cross-validation works on."""

    samples: pd.DataFrame
    """The sample table, labelled."""
    split_table: pd.DataFrame
    """With folds, in the order of ``samples``."""
    tables: Mapping[str, EmbeddingTable]
    """Of the sources to use, in the order of the model's tokens."""


def cross_validate_variant(
    variant: VariantParameters, labelled: LabelledData, folder: FoldFolder, *, seeds: int, seed: int, refits: int = 0
) -> FoldModels:
    """Train a variant for each fold and seed, and on all rows.

    Args:
        variant: composition and training.
        labelled: products and their sources.
        folder: takes the models as they come.
        seeds: models per fold.
        seed: of the first; the others follow it.
        refits: models of all rows that are not held out, to predict new products with.

    Raises:
        DataError: as ``check_folds``.
        TrainingError: as ``train_variant``.
    """
    roles = _roles(labelled, selects=variant.train.selects, seed=seed, refit=refits > 0)
    return fit_variant(variant, labelled, folder, roles, seeds=seeds, seed=seed, refits=refits)


def fit_variant(
    variant: VariantParameters,
    labelled: LabelledData,
    folder: FoldFolder,
    roles: FoldRoles,
    *,
    seeds: int,
    seed: int,
    refits: int,
) -> FoldModels:
    """Train a variant on given rows.

    Args:
        variant: composition and training.
        labelled: products and their sources.
        folder: takes the models as they come.
        roles: rows of each model.
        seeds: models per fold.
        seed: of the first; the others follow it.
        refits: models of all rows that are not held out, where ``roles`` has these rows.

    Raises:
        TrainingError: as ``train_variant``.
    """
    options = variant.train
    data = training_data(labelled.samples, labelled.split_table, labelled.tables, options.device, options.features_gb)
    tasks = [
        FoldTask(
            fold,
            number,
            own,
            f"{_place(fold)}-seed-{number}.safetensors",
            variant_recipe(variant, number, data.fingerprints, (own.fit, own.stop)),
            recipe(data.fingerprints, ()),
        )
        for fold, own in roles
        for number in range(seed, seed + (refits if fold is None else seeds))
    ]
    together = data.device.type == "cuda" and data.window_products is None
    train = _train_together if together else _train_one_by_one
    return run_tasks(folder, NETWORK, tasks, lambda todo: train(variant, data, todo, folder))


def cross_validate_estimator(
    kind: str,
    labelled: LabelledData,
    folder: FoldFolder,
    *,
    options: ComparisonParameters,
    seed: int,
    refit: bool = False,
) -> FoldModels:
    """Fit an estimator for each fold, and on all rows; once the stop rows have chosen its settings, on these, too.

    Args:
        kind: of ``ESTIMATORS``.
        labelled: products and their sources.
        folder: takes the models as they come.
        options: what fitting may spend.
        seed: of what it draws.
        refit: whether to fit one on all rows that are not held out, too.

    Raises:
        DataError: as ``check_folds``.
        MissingPackageError: if its package is not installed.
    """
    roles = _roles(labelled, selects=True, seed=seed, refit=refit)
    return fit_estimators(kind, labelled, folder, roles, options=options, seed=seed)


def fit_estimators(
    kind: str, labelled: LabelledData, folder: FoldFolder, roles: FoldRoles, *, options: ComparisonParameters, seed: int
) -> FoldModels:
    """Fit an estimator on given rows.

    Args:
        kind: of ``ESTIMATORS``.
        labelled: products and their sources.
        folder: takes the models as they come.
        roles: rows of each model; stop rows choose its settings before it is fitted on them, too.
        options: what fitting may spend.
        seed: of what it draws.

    Raises:
        MissingPackageError: if its package is not installed.
    """
    data = data_fingerprints(labelled.samples, labelled.split_table, labelled.tables)
    described: dict[str, Any] = {
        "kind": kind,
        **deciding(options, kind),
        "seed": seed,
        "data": data,
        "version": [FORMAT_VERSION, ESTIMATORS[kind].revision],
    }
    tasks = [
        FoldTask(fold, seed, own, _place(fold), recipe(described, (own.fit, own.stop)), recipe(data, ()))
        for fold, own in roles
    ]
    products = SplitFeatures.of(labelled.samples, labelled.split_table, labelled.tables)

    def fit(todo: Sequence[FoldTask]) -> Iterator[float]:
        for task in todo:
            began = perf_counter()
            fitted = fit_estimator(
                kind, products.features, products.sources, products.log_prices, task.roles.fit, task.roles.stop,
                options=options, seed=seed, unit=products.unit,
                fit_stop_rows=True,  # nothing else is chosen by them
            )  # fmt: skip
            fitted.save(folder.path / task.file)
            yield perf_counter() - began

    return run_tasks(folder, kind, tasks, fit)


def out_of_fold(models: FoldModels, labelled: LabelledData) -> pd.DataFrame:
    """Predictions of each fold's rows by that fold's models.

    Returns:
        ``sample_id``, ``fold``, ``price``, ``predicted`` (the mean log price of all seeds' models, as a price) and
        ``seed_<n>`` for each seed, in currency units; in the order of the sample table, rows of no fold left out.
    """
    samples, folds = labelled.samples, labelled.split_table["fold"].to_numpy()
    seeds = sorted({model.seed for model in models.of_folds})
    unit = unit_of_split(samples, labelled.split_table)
    logs = np.full((len(samples), len(seeds)), np.nan)
    for model in models.of_folds:
        rows = np.flatnonzero(folds == model.fold)
        logs[rows, seeds.index(model.seed)] = fold_log_prices(
            models, model, labelled.samples.iloc[rows], labelled.tables, unit
        )
    chosen = np.flatnonzero(~np.isnan(logs).any(axis=1) if seeds else [])
    return pd.DataFrame(
        {
            "sample_id": samples["sample_id"].to_numpy()[chosen],
            "fold": folds[chosen],
            "price": samples["price"].to_numpy()[chosen],
            "predicted": np.expm1(logs[chosen].sum(axis=1) / max(len(seeds), 1)) * unit,
            **{f"seed_{number}": np.expm1(logs[chosen, place]) * unit for place, number in enumerate(seeds)},
        }
    )


def fold_log_prices(
    models: FoldModels,
    model: FoldModel,
    samples: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    unit: float = 1.0,
) -> Values:
    """Log prices of products in a unit (in currency units) by one model, (N,).

    Raises:
        CheckpointError: if the model is missing or damaged.
    """
    loaded = load_model(models.checked(model), models.kind)
    return log_prices_of(loaded, features_from_tables(samples, tables, loaded.sources), unit)


def check_folds(samples: pd.DataFrame, split_table: pd.DataFrame) -> list[int]:
    """The folds, once each is known to have enough rows.

    Raises:
        DataError: if there are fewer than two folds, or one has next to no rows. A warning names folds without a price
            range that others have.
    """
    folds = folds_of(split_table)
    price, fold_of = samples["price"].to_numpy(np.float64), split_table["fold"].to_numpy()
    small = [fold for fold in folds if (fold_of == fold).sum() < FOLD_ROWS]
    if small:
        raise DataError(
            f"fold(s) {', '.join(map(str, small))} have fewer than {FOLD_ROWS} rows of {(fold_of >= 0).sum():,} in all: "
            f"{len(folds)} folds are too many. Lower splitting.folds, or bring more products."
        )
    least = min(int((fold_of == fold).sum()) for fold in folds)
    quantiles = max(1, min(PRICE_QUANTILES, least // ROWS_OF_QUANTILE))
    edges = np.quantile(price[fold_of >= 0], np.linspace(0, 1, quantiles + 1)[1:-1])
    quantile = np.searchsorted(edges, price, side="right")
    there = set(quantile[fold_of >= 0].tolist())
    absent = {fold: sorted(there - set(quantile[fold_of == fold].tolist())) for fold in folds}
    if any(absent.values()):
        logger.warning(
            "folds lack products of some of %d price ranges: %s. Their metrics say nothing of these prices. Lower "
            "splitting.folds, or bring more products",
            quantiles,
            "; ".join(
                f"fold {fold} of range {', '.join(str(number + 1) for number in missing)}"
                for fold, missing in absent.items()
                if missing
            ),
        )
    return folds


def _roles(labelled: LabelledData, *, selects: bool, seed: int, refit: bool) -> FoldRoles:
    """Roles of each fold's models and, last, of those of all rows."""
    samples, split_table = labelled.samples, labelled.split_table
    roles: list[tuple[int | None, Roles]] = [
        (fold, roles_of_fold(samples, split_table, fold, selects=selects, seed=seed))
        for fold in check_folds(samples, split_table)
    ]
    if refit:
        roles.append((None, roles_of_refit(samples, split_table, selects=selects, seed=seed)))
    return roles


def _place(fold: int | None) -> str:
    return "all-rows" if fold is None else f"fold-{fold}"


def run_tasks(
    folder: FoldFolder,
    kind: str,
    tasks: Sequence[FoldTask],
    train: Callable[[Sequence[FoldTask]], Iterator[float]],
) -> FoldModels:
    """Train what is not there yet, and note each model as soon as it is whole.

    Args:
        folder: of the models.
        kind: of the models.
        tasks: all models.
        train: trains some, saves each, and gives its seconds.
    """
    known = folder.done()
    finished: dict[tuple[int | None, int], FoldModel] = {
        key[:2]: known[key] for task in tasks if (key := (task.fold, task.seed, task.recipe)) in known
    }
    todo = [task for task in tasks if (task.fold, task.seed) not in finished]
    if finished:
        logger.info("%s: %d of %d models are there already", folder.name, len(finished), len(tasks))
    if todo:
        # Their files may be there, of another recipe: no manifest shall name them while they are replaced.
        folder.write(
            FoldModels(folder.name, kind, tuple(finished.values()), complete=False),
            replacing=[task.file for task in todo],
        )
    started = perf_counter()
    for number, (task, seconds) in enumerate(zip(todo, train(todo), strict=True), start=1):
        finished[task.fold, task.seed] = FoldModel(
            task.fold, task.seed, task.file, task.recipe, task.data, round(seconds, 2), folder.digests(task.file)
        )
        folder.write(FoldModels(folder.name, kind, tuple(finished.values()), complete=False))
        left = (perf_counter() - started) / number * (len(todo) - number)
        logger.info(
            "%s: %s, seed %d in %.1f s; %d of %d models, about %.0f s left",
            folder.name,
            _place(task.fold).replace("-", " "),
            task.seed,
            seconds,
            len(tasks) - len(todo) + number,
            len(tasks),
            left,
        )
    models = FoldModels(folder.name, kind, tuple(finished[task.fold, task.seed] for task in tasks), folder.path)
    folder.write(models)
    return models


def _train_one_by_one(
    variant: VariantParameters, data: TrainingData, tasks: Sequence[FoldTask], folder: FoldFolder
) -> Iterator[float]:
    for task in tasks:
        began = perf_counter()
        trained = train_variant(
            folder.name, variant, data.with_rows(task.roles.fit, task.roles.stop), seed=task.seed, run=None, quiet=True
        )
        save_checkpoint(folder.path / task.file, trained.checkpoint)
        yield perf_counter() - began


def _train_together(
    variant: VariantParameters, data: TrainingData, tasks: Sequence[FoldTask], folder: FoldFolder
) -> Iterator[float]:
    """All models as one batched run: a GPU that steps one small model is mostly idle."""
    if not tasks:
        return
    began = perf_counter()
    rows = [data.with_rows(task.roles.fit, task.roles.stop) for task in tasks]
    members = [Member(task.seed, own.train, own.validation) for task, own in zip(tasks, rows, strict=True)]
    trained = train_stacked(folder.name, variant, members, data)
    seconds = (perf_counter() - began) / len(tasks)
    for task, one in zip(tasks, trained, strict=True):
        save_checkpoint(folder.path / task.file, one.checkpoint)
        yield seconds
