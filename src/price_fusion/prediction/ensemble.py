"""Ensembles: the fold models of several members, blended in log price, as one folder that prices like a model.

A member's log price is the mean over its models of all rows, or of the folds where it has no others; the ensemble's is the
weighted mean over its members. Weights and intervals come from the folds' models alone, whose rows they have not seen.
The folder holds all that is needed: each model, ``calibration.safetensors``, and ``manifest.json``, written last, with the
digest of each file and of its own contents.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from price_fusion.data.ids import same_ids
from price_fusion.data.roles import EVALUATED
from price_fusion.data.splits import NO_FOLD
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import CheckpointError, DataError
from price_fusion.metrics.intervals import MIN_ROWS, Calibration, calibrate
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.metrics.price_scale import BEFORE, PriceScale, in_unit, price_unit
from price_fusion.models.checkpoint import DOLLARS, load_checkpoint
from price_fusion.models.estimators import Estimator, load_estimator
from price_fusion.models.features import Features, features_from_tables
from price_fusion.models.folds import MANIFEST, NETWORK, FoldModels
from price_fusion.models.network import Network
from price_fusion.parameters import Source
from price_fusion.prediction.blending import Method, blend, cross_fitted_blend, fit_weights
from price_fusion.storage.digests import digest_of, digests_below
from price_fusion.storage.files import whole_folder
from price_fusion.storage.manifests import ManifestKind
from price_fusion.version import __version__

FORMAT_VERSION = 2
CALIBRATION = "calibration.safetensors"
ADVICE = "Run the pipeline 'ensemble' again."
KIND = ManifestKind("ensemble", MANIFEST, FORMAT_VERSION, CheckpointError, ADVICE, ADVICE)

Values = NDArray[np.float64]


class EnsembleMember(BaseModel):
    """One member of an ensemble, as its manifest describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    weight: float
    """0: it was weighed and left out, and its models are not in the folder."""
    models: tuple[str, ...]
    """Its models, within the folder."""
    seconds: float
    """That training all of them took."""
    out_of_fold_smape: float
    """In percent, on the rows that the weights were fitted on, each by models that had not seen it."""


class EnsembleManifest(BaseModel):
    """What an ensemble consists of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package_version: str = __version__
    name: str = "ensemble"
    """Of the estimator, where it is the only member and predicts by itself."""
    method: Method
    """How the weights were found."""
    members: tuple[EnsembleMember, ...]
    failed: dict[str, str] = {}
    """Members that could not be trained, and why."""
    sources: dict[str, Source]
    """What the members read, together."""
    dtypes: dict[str, str]
    price_scale: PriceScale = BEFORE
    """Of the blended log prices."""
    currency: str = DOLLARS
    """Of the prices; files written before currencies were noted are in USD."""
    median_price: float
    """Of the rows that were not held out, in currency units."""
    out_of_fold_smape: float
    """Of the blend, its weights fitted on the other folds each time; in percent."""
    data: dict[str, str]
    """Fingerprints of the data it was trained on."""
    rows: int | None = None
    """Labelled rows that its models were fitted on; None: written before final fits existed, which note it."""
    sha256: dict[str, str] = {}
    """Of each file in the folder."""


@dataclass(frozen=True)
class EnsembleDraft:
    """An ensemble about to be written: what it consists of, and where its models are now."""

    manifest: EnsembleManifest
    calibration: Calibration
    models: Mapping[str, Path]
    """Where each model is, by its name in the folder."""


@dataclass(frozen=True)
class OutOfFold:
    """A member's models, and what they say of rows that they did not see."""

    models: FoldModels
    predictions: pd.DataFrame
    """As ``cross_validation.out_of_fold`` gives them."""


@dataclass(frozen=True)
class Ensemble:
    """An ensemble on disk; its models are loaded when they are first asked for prices."""

    manifest: EnsembleManifest
    calibration: Calibration
    folder: Path
    digest: str
    """Of its manifest, and so of all that it consists of."""
    precision: Literal["float32", "bf16", "auto"] = "float32"

    @property
    def name(self) -> str:
        """What it is called beside variants."""
        return self.manifest.name

    @property
    def sources(self) -> Mapping[str, Source]:
        """What its members read, together."""
        return self.manifest.sources

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Type in which each source was stored for training."""
        return self.manifest.dtypes

    @property
    def median_price(self) -> float:
        """Of its train rows, in currency units."""
        return self.manifest.median_price

    @property
    def currency(self) -> str:
        """Of the prices."""
        return self.manifest.currency

    @property
    def price_scale(self) -> PriceScale:
        """Of its log prices."""
        return self.manifest.price_scale

    @property
    def data(self) -> dict[str, str]:
        """Fingerprints of the data it was trained on."""
        return self.manifest.data

    @property
    def rows(self) -> int | None:
        """Labelled rows that its models were fitted on; None where its version did not note them."""
        return self.manifest.rows

    @property
    def members(self) -> list[EnsembleMember]:
        """Those that have a weight."""
        return [member for member in self.manifest.members if member.weight > 0]

    def log_prices(self, features: Features, *, whole_blocks: bool = False) -> Values:
        """Log prices of N products, (N,); ``whole_blocks`` as of ``score`` and ``Estimator.log_prices``."""
        return blend(
            self.member_log_prices(features, whole_blocks=whole_blocks), [member.weight for member in self.members]
        )

    def member_log_prices(self, features: Features, *, whole_blocks: bool = False) -> Values:
        """Log prices by each member that has a weight, (N, M), in the order of ``members``."""
        means = [
            np.mean(
                [
                    log_prices_of(model, features, self.price_scale.unit, whole_blocks=whole_blocks)
                    for model in self._models[member.name]
                ],
                axis=0,
            )
            for member in self.members
        ]
        return np.stack(means, axis=1)

    @cached_property
    def _models(self) -> dict[str, list[Network | Estimator]]:
        return {
            member.name: [load_model(self.folder / file, member.kind, self.precision) for file in member.models]
            for member in self.members
        }


def refuse_few_rows(split_table: pd.DataFrame) -> None:
    """Refuse, before members are trained, labelled products that are too few to calibrate their blend on.

    Raises:
        DataError: if the folds have fewer than ``MIN_ROWS`` rows.
    """
    rows = int((split_table["fold"] != NO_FOLD).sum())
    if rows < MIN_ROWS:
        raise DataError(
            f"{rows} of {len(split_table)} labelled products are in a fold, expected at least {MIN_ROWS}: the intervals of "
            "ensembles and estimators are calibrated on them. Bring more products, leave fewer out of the folds "
            "(splitting.proportions), or train a variant, which can predict without intervals (kedro run)."
        )


def build_ensemble(
    members: Sequence[OutOfFold],
    *,
    method: Method,
    sources: Mapping[str, Source],
    dtypes: Mapping[str, str],
    data: Mapping[str, str],
    currency: str = DOLLARS,
    name: str = "ensemble",
    rows: int | None = None,
) -> EnsembleDraft:
    """Weigh members by their out-of-fold predictions.

    The intervals are calibrated on a blend of each fold's rows whose weights were fitted on the other folds.

    Args:
        members: with predictions of the same rows, or failed.
        method: of finding the weights.
        sources: what the members read, together.
        dtypes: of the sources as stored.
        data: fingerprints of what they were trained on.
        currency: of the prices.
        name: what it is called.
        rows: labelled rows that the models which predict were fitted on.

    Raises:
        DataError: if no member is left, or they are of other rows.
        CheckpointError: if a model that has a weight is missing or damaged.
    """
    failed = {one.models.name: one.models.failure for one in members if one.models.failure is not None}
    whole = [one for one in members if one.models.failure is None]
    if not whole:
        raise DataError(f"ensemble: no member is left; failed: {failed or 'none'}. Name members that can be trained.")
    first = whole[0].predictions
    for one in whole[1:]:
        if not same_ids(one.predictions["sample_id"], first["sample_id"]):
            raise DataError(
                f"ensemble: {one.models.name} and {whole[0].models.name} have out-of-fold predictions of other rows. "
                "Run the pipeline 'ensemble' whole."
            )
    names = [one.models.name for one in whole]
    true = first["price"].to_numpy(np.float64)
    scale = PriceScale.of(true, price_unit(float(np.median(true))))
    logs = np.stack([scale.logs(one.predictions["predicted"]) for one in whole], axis=1)
    in_units = true / scale.unit
    weights = fit_weights(logs, in_units, method, names)
    fresh = cross_fitted_blend(logs, in_units, first["fold"].to_numpy(), method, names)
    described = [
        _described(one, float(weight), smape_per_product(np.expm1(column), in_units))
        for one, weight, column in zip(whole, weights, logs.T, strict=True)
    ]
    manifest = EnsembleManifest(
        name=name,
        method=method,
        members=tuple(sorted(described, key=lambda member: -member.weight)),
        failed=failed,
        sources=dict(sources),
        dtypes=dict(dtypes),
        price_scale=scale,
        currency=currency,
        median_price=float(np.median(true)),
        out_of_fold_smape=float(smape_per_product(np.expm1(fresh), in_units).mean()),
        data=dict(data),
        rows=rows,
    )
    paths = {
        model_file(one.models.name, model.file): one.models.checked(model)
        for one, weight in zip(whole, weights, strict=True)
        if weight > 0
        for model in one.models.final
    }
    return EnsembleDraft(manifest, calibrate(fresh, true, scale), paths)


def final_ensemble(
    ensemble: Ensemble, members: Sequence[FoldModels], prices: Values, data: Mapping[str, str]
) -> EnsembleDraft:
    """The ensemble with other models: its weights and intervals stay.

    Args:
        ensemble: that was evaluated.
        members: final fits of the models of each member that has a weight.
        prices: (N,) of the rows that these were fitted on, in currency units.
        data: fingerprints of what they were trained on.

    Raises:
        CheckpointError: if a model is missing or damaged.
    """
    final = {one.name: one for one in members}
    files = {name: tuple(model_file(one.name, model.file) for model in one.models) for name, one in final.items()}
    manifest = ensemble.manifest.model_copy(
        update={
            "package_version": __version__,
            "members": tuple(
                member.model_copy(update={"models": files[member.name], "seconds": final[member.name].seconds})
                if member.weight > 0
                else member
                for member in ensemble.manifest.members
            ),
            "price_scale": PriceScale.of(prices, ensemble.price_scale.unit),
            "median_price": float(np.median(prices)),
            "data": {**data, EVALUATED: ensemble.digest},
            "rows": len(prices),
        }
    )
    paths = {model_file(one.name, model.file): one.checked(model) for one in members for model in one.models}
    return EnsembleDraft(manifest, ensemble.calibration, paths)


def members_table(ensemble: Ensemble, samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable]) -> pd.DataFrame:
    """Members with their weights and figures, and the blend of them; largest weight first.

    Args:
        ensemble: to describe.
        samples: products with prices that neither members nor weights have seen; there may be none.
        tables: of the sources.

    Returns:
        ``member``, ``kind``, ``weight``, ``models``, ``seconds`` of training, ``out_of_fold_smape`` and ``smape`` in percent;
        the latter is missing for members without weight, and without products.
    """
    smape: dict[str, float] = {}
    if len(samples):
        features, true = features_from_tables(samples, tables, ensemble.sources), samples["price"].to_numpy(np.float64)
        logs = ensemble.member_log_prices(features)
        names = [member.name for member in ensemble.members]
        blended = blend(logs, [member.weight for member in ensemble.members])
        smape = {
            name: float(smape_per_product(np.expm1(column), true / ensemble.price_scale.unit).mean())
            for name, column in zip([*names, ensemble.name], [*logs.T, blended], strict=True)
        }
    rows: list[dict[str, Any]] = [
        {
            "member": member.name,
            "kind": member.kind,
            "weight": member.weight,
            "models": len(member.models),
            "seconds": member.seconds,
            "out_of_fold_smape": member.out_of_fold_smape,
            "smape": smape.get(member.name),
        }
        for member in ensemble.manifest.members
    ]
    rows.append(
        {
            "member": ensemble.name,
            "kind": ensemble.manifest.method,
            "weight": 1.0,
            "models": sum(row["models"] for row in rows),
            "seconds": sum(row["seconds"] for row in rows),
            "out_of_fold_smape": ensemble.manifest.out_of_fold_smape,
            "smape": smape.get(ensemble.name),
        }
    )
    return pd.DataFrame(rows)


def save_ensemble(folder: Path, draft: EnsembleDraft) -> None:
    """Write an ensemble; what stood in the folder before is replaced once the new one is whole on disk.

    Raises:
        CheckpointError: if a model is not where the draft says.
        StorageError: if it cannot be written.
    """
    from safetensors.numpy import save

    for path in draft.models.values():
        if not path.exists():
            raise CheckpointError(f"{path}: a model of the ensemble, and not there. {ADVICE}")
    with whole_folder(folder) as partial:
        for name, path in draft.models.items():
            _copy(path, partial / name)
        (partial / CALIBRATION).write_bytes(save(vars(draft.calibration)))
        manifest = draft.manifest.model_copy(update={"sha256": digests_below(partial, partial)})
        (partial / MANIFEST).write_bytes(KIND.document(json.loads(manifest.model_dump_json())))


def load_ensemble(folder: Path, precision: Literal["float32", "bf16", "auto"] = "float32") -> Ensemble:
    """Open an ensemble; each of its files must be what its manifest says.

    Raises:
        CheckpointError: if there is none, it is of another version, or a file is missing or damaged.
    """
    manifest = KIND.read(folder, lambda fields: EnsembleManifest.model_validate_json(json.dumps(fields)))
    KIND.check(folder, manifest.sha256)
    from safetensors.numpy import load_file

    calibration = Calibration(**load_file(folder / CALIBRATION))
    return Ensemble(manifest, calibration, folder, digest_of(folder / MANIFEST), precision)


def _copy(model: Path, place: Path) -> None:
    """Copy a file or a folder of files; shutil's own copy of folders hides why a file could not be written."""
    if model.is_file():
        shutil.copyfile(model, place)
        return
    place.mkdir()
    for path in model.iterdir():
        _copy(path, place / path.name)


def _described(member: OutOfFold, weight: float, smape: Values) -> EnsembleMember:
    models = member.models
    return EnsembleMember(
        name=models.name,
        kind=models.kind,
        weight=weight,
        models=tuple(model_file(models.name, model.file) for model in models.final) if weight > 0 else (),
        seconds=models.seconds,
        out_of_fold_smape=float(smape.mean()),
    )


def model_file(member: str, file: str) -> str:
    """Where a model of a member is in the folder of an ensemble; ``file`` is its place in the folder of the member."""
    return f"{member}-{file}"


def load_model(path: Path, kind: str, precision: Literal["float32", "bf16", "auto"] = "float32") -> Network | Estimator:
    """A model of a member of this kind; ``precision`` is of networks."""
    return Network(load_checkpoint(path), precision) if kind == NETWORK else load_estimator(path)


def log_prices_of(model: Network | Estimator, features: Features, unit: float, *, whole_blocks: bool = False) -> Values:
    """Log prices of N products by one model, (N,), of prices in a unit, in currency units."""
    if isinstance(model, Network):
        return in_unit(model.log_prices(features, whole_blocks=whole_blocks), model.price_scale.unit, unit)
    logs = model.log_prices(features, np.arange(len(features)), whole_blocks=whole_blocks)
    return in_unit(logs, model.price_scale.unit, unit)
