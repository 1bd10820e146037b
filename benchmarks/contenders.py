"""The models that the benchmarks on accuracy measure, each as a function from an outer fold and a seed to prices.

RealMLP and TabM are pytabkit's: pip install pytabkit. AutoGluon: pip install "autogluon.tabular[lightgbm,catboost,xgboost]".
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench import Bench
from other_packages import (
    AUTOGLUON,
    EXTRA_TREES,
    PYTABKIT,
    predict_with_autogluon,
    predict_with_extra_trees,
    predict_with_pytabkit,
)
from outer_folds import OuterFold, Predicted
from price_fusion.data.table import EmbeddingTable
from price_fusion.models.estimators import ESTIMATORS
from price_fusion.models.folds import FoldFolder, FoldModels
from price_fusion.parameters import EnsemblePreset, VariantParameters
from price_fusion.prediction.ensemble import Ensemble, OutOfFold, build_ensemble, load_ensemble, save_ensemble
from price_fusion.prediction.predictor import Predictor
from price_fusion.selection.cross_validation import (
    LabelledData,
    cross_validate_estimator,
    cross_validate_variant,
    fit_estimators,
    fit_variant,
    fold_log_prices,
    out_of_fold,
)
from price_fusion.training.recipe import data_fingerprints

PACKAGES = {
    "lightgbm": "lightgbm",
    "lightgbm_extra_trees": "lightgbm",
    "catboost": "catboost",
    "RealMLP": "pytabkit",
    "TabM": "pytabkit",
    "AutoGluon": "autogluon.tabular",
}
"""What a family needs beside this project."""
GUESSES = {
    "median": 0.1,
    "ridge": 5,
    "kernel_ridge": 15,
    "neighbours": 10,
    "lightgbm": 60,
    "lightgbm_extra_trees": 60,
    "catboost": 60,
    "variants": 45,
    "reference": 90,
    "ensemble_quick": 600,
    "ensemble_full": 2_000,
    "RealMLP": 600,
    "TabM": 1_200,
    "AutoGluon": 1_300,
}
"""Seconds of one outer fold and seed on 2 cores, to tell how long it will be until a first one is measured."""
FAMILIES = tuple(GUESSES)


@dataclass(frozen=True)
class Model:
    """Something that predicts prices."""

    name: str
    family: str
    tables: Mapping[str, EmbeddingTable]
    settings: Mapping[str, Any]
    """All that decides its prices beside data, folds and seed."""
    predict: Callable[[OuterFold, int], Predicted]
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
        return name is None or find_spec(name.partition(".")[0]) is not None


def known_models(bench: Bench, seeds: int) -> list[Model]:
    """All models, whether what they need is installed or not; those that take long come last."""
    conf = bench.configuration
    boosting = {"rounds": conf.rounds}
    models = [Model("median", "median", {}, {}, partial(predict_with_median, bench))]
    models += [
        Model(
            kind,
            kind,
            bench.tables,
            {"kind": kind, "refitted": True, **boosting},
            partial(predict_with_estimator, bench, kind),
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
        Model(name, name, bench.tables, {"class": found, **arguments}, partial(predict_with_pytabkit, bench, name))
        for name, (found, arguments) in PYTABKIT.items()
    ]
    models.append(
        Model(
            "lightgbm, extra trees",
            "lightgbm_extra_trees",
            bench.tables,
            {**EXTRA_TREES, **boosting},
            partial(predict_with_extra_trees, bench),
        )
    )
    models.append(Model("AutoGluon", "AutoGluon", bench.tables, AUTOGLUON, partial(predict_with_autogluon, bench)))
    return sorted(models, key=lambda model: FAMILIES.index(model.family))


def variant_model(bench: Bench, name: str, family: str, variant: VariantParameters, seeds: int) -> Model:
    """A variant with our configuration or the reference's."""
    shown = name if family == "variants" else f"reference {name}"
    tables = {source: bench.tables[source] for source in variant.sources if source in bench.tables}
    return Model(
        shown,
        family,
        tables,
        variant.model_dump(mode="json"),
        partial(predict_with_variant, bench, name, variant),
        seeds,
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
        f"ensemble {name}", f"ensemble_{name}", bench.tables, settings, partial(predict_with_ensemble, bench, preset)
    )


def predict_with_median(bench: Bench, outer: OuterFold, seed: int) -> Predicted:
    """One price for all."""
    began = perf_counter()
    median = np.median(bench.prices[outer.others])
    return Predicted(np.full(len(outer.scored), median), perf_counter() - began)


def predict_with_estimator(bench: Bench, kind: str, outer: OuterFold, seed: int) -> Predicted:
    """An estimator on all sources, fitted on all other rows once the stop rows have chosen its settings."""
    labelled, options = LabelledData(bench.samples, outer.split_table, bench.tables), bench.estimator_options
    roles = [(None, outer.roles(selects=True))]
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as place:
        folder = FoldFolder(kind, Path(place))
        return predicted_by(fit_estimators(kind, labelled, folder, roles, options=options, seed=seed), labelled, outer)


def predict_with_variant(bench: Bench, name: str, variant: VariantParameters, outer: OuterFold, seed: int) -> Predicted:
    """A single network, on all other rows where training selects nothing."""
    labelled = LabelledData(bench.samples, outer.split_table, bench.sources(variant.sources))
    roles = [(None, outer.roles(selects=variant.train.selects))]
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as place:
        folder = FoldFolder(name, Path(place))
        models = fit_variant(variant, labelled, folder, roles, seeds=0, seed=seed, refits=1)
        return predicted_by(models, labelled, outer)


def predicted_by(models: FoldModels, labelled: LabelledData, outer: OuterFold) -> Predicted:
    """What the one model of all rows outside an outer fold says of that fold's rows."""
    (model,) = models.final
    logs = fold_log_prices(models, model, labelled.samples.iloc[outer.scored], labelled.tables)
    return Predicted(np.expm1(logs), models.seconds)


def predict_with_ensemble(bench: Bench, preset: EnsemblePreset, outer: OuterFold, seed: int) -> Predicted:
    """Members cross-validated and weighed on the inner folds, then blended as users blend them: from disk."""
    labelled, folder = LabelledData(bench.samples, outer.split_table, bench.tables), bench.models_folder(outer.number)
    members = [cross_validated(bench, member, preset, labelled, seed, folder) for member in preset.members]
    with tempfile.TemporaryDirectory(prefix="price_fusion_") as place:
        ensemble = blended(bench, members, labelled, Path(place) / "ensemble")
        prices = Predictor(ensemble).predict_samples(bench.samples.iloc[outer.scored], bench.tables)
    details = {
        "weights": {member.name: member.weight for member in ensemble.manifest.members},
        "models": sum(len(one.models.final) for one in members),
        "out_of_fold_smape": ensemble.manifest.out_of_fold_smape,
    }
    return Predicted(prices, sum(one.models.seconds for one in members), details)


def cross_validated(
    bench: Bench, member: str, preset: EnsemblePreset, labelled: LabelledData, seed: int, folder: Path
) -> OutOfFold:
    """A member's models, and what they say of rows that they did not see."""
    variant = bench.configuration.variants.get(member)
    place = FoldFolder(member, folder / member)
    if variant:
        labelled = replace(labelled, tables=bench.sources(variant.sources))
        models = cross_validate_variant(variant, labelled, place, seeds=preset.seeds, seed=seed, refits=preset.refits)
    else:
        options = bench.estimator_options
        models = cross_validate_estimator(member, labelled, place, options=options, seed=seed, refit=preset.refits > 0)
    return OutOfFold(models, out_of_fold(models, labelled))


def blended(bench: Bench, members: Sequence[OutOfFold], labelled: LabelledData, folder: Path) -> Ensemble:
    """The ensemble of members, written and read."""
    draft = build_ensemble(
        members,
        method=bench.configuration.ensemble.weights,
        sources={name: table.declaration for name, table in labelled.tables.items()},
        dtypes={name: table.dtype for name, table in labelled.tables.items()},
        data=data_fingerprints(labelled.samples, labelled.split_table, labelled.tables),
        rows=int((labelled.split_table["split"] != "holdout").sum()),
    )
    save_ensemble(folder, draft)
    return load_ensemble(folder)
