"""Which labelled rows may be used for what. This is the one place that decides it.

fit
    weights, scales, vocabularies, neighbours: whatever is learnt.
stop
    what is chosen among things learnt: epoch, learning rate, rounds, penalties. An estimator of cross-validation is fitted
    on these rows, too, once its settings are chosen.
calibrate
    ensemble weights and intervals, from predictions by models that neither fitted nor stopped on these rows.
report
    the figures that users read. Nothing before the final report looks at a price of theirs.

The model that predicts new products is fitted after that report, on all labelled rows: a final fit repeats that training
and chooses nothing. No figure is ever of a final fit.

A role holds row numbers of the sample table, ascending; no row has two of the roles of one ``Roles``. Where there is no
holdout, there is one exception: the validation rows report, too, and what is reported of them says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.groups.dealing import Groups, deal, groups_of
from price_fusion.data.ids import ids_of
from price_fusion.data.splits import NO_FOLD, evaluated_split
from price_fusion.errors import CheckpointError, ComparisonError, DataError
from price_fusion.lazy import pd
from price_fusion.parameters import ESTIMATOR_KINDS
from price_fusion.storage.fingerprint import frame_fingerprint

Rows = NDArray[np.int64]

STOP_FRACTION = 0.1
"""Share of a fold's train rows that models which select something select it on."""
STRATA = 10
"""Price quantiles that the stop rows are drawn from in equal shares."""
EVALUATED = "evaluated model"
"""In the fingerprints of a final fit: digest of the model that was evaluated and whose training it repeats."""


@dataclass(frozen=True)
class Roles:
    """Rows of each role for one model."""

    fit: Rows
    stop: Rows
    calibrate: Rows
    report: Rows

    @property
    def watched(self) -> Rows:
        """Rows to show metrics of while training goes on: the stop rows, or the others where nothing selects."""
        return self.stop if len(self.stop) else self.calibrate


def roles_of_split(samples: pd.DataFrame, split_table: pd.DataFrame, *, selects: bool, seed: int) -> Roles:
    """Roles for a model trained on the split: train rows fit, validation rows stop and calibrate, the holdout reports.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        selects: whether training selects something by validation rows. Then half of their groups stop and the other half
            calibrate; otherwise all of them calibrate.
        seed: of the halving.
    """
    split = split_table["split"].to_numpy()
    fit, validation = (np.flatnonzero(split == name) for name in ("train", "validation"))
    stop, calibrate = validation[:0], validation
    if selects:
        groups, group_of = _groups(samples, validation)
        calibrates = halves(groups, seed)[group_of].astype(bool)
        stop, calibrate = validation[~calibrates], validation[calibrates]
    return Roles(fit, stop, calibrate, rows_to_report(split_table))


def halves(groups: Groups, seed: int) -> NDArray[np.int64]:
    """The half (G,) of each group of validation rows where training selects: 0 stops, 1 calibrates."""
    return deal(groups, (0.5, 0.5), quantiles=STRATA, draw=f"halves, seed {seed}", fill=True)


def roles_of_fold(samples: pd.DataFrame, split_table: pd.DataFrame, fold: int, *, selects: bool, seed: int) -> Roles:
    """Roles for a model of one fold: the other folds fit, a tenth of their groups stop, the fold's rows calibrate.

    Holdout rows have no role in cross-validation but to report. Rows that an encoder was tuned on only ever fit.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        fold: whose model it is.
        selects: whether training selects something by stop rows; if not, there are none.
        seed: of the draw of the stop rows.
    """
    split, folds = split_table["split"].to_numpy(), split_table["fold"].to_numpy()
    others = np.flatnonzero((split != "holdout") & (folds != fold))
    fit, stop = _fit_and_stop(samples, folds, others, selects=selects, draw=f"stop of fold {fold}, seed {seed}")
    return Roles(fit, stop, calibrate=np.flatnonzero(folds == fold), report=np.flatnonzero(split == "holdout"))


def roles_of_refit(samples: pd.DataFrame, split_table: pd.DataFrame, *, selects: bool, seed: int) -> Roles:
    """Roles for a model of an ensemble that is to be evaluated: all rows but the holdout fit or stop, and none calibrate.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        selects: as in ``roles_of_fold``.
        seed: of the draw of the stop rows.
    """
    held_out = (split_table["split"] == "holdout").to_numpy()
    rows = np.flatnonzero(~held_out)
    folds = split_table["fold"].to_numpy()
    fit, stop = _fit_and_stop(samples, folds, rows, selects=selects, draw=f"stop of refit, seed {seed}")
    return Roles(fit, stop, calibrate=rows[:0], report=np.flatnonzero(held_out))


def roles_of_final_fit(samples: pd.DataFrame) -> Roles:
    """Roles for a model that repeats a training that was evaluated: every labelled row fits, the holdout, too.

    Args:
        samples: the sample table, labelled.
    """
    rows = np.arange(len(samples))
    return Roles(fit=rows, stop=rows[:0], calibrate=rows[:0], report=rows[:0])


def folds_of(split_table: pd.DataFrame) -> list[int]:
    """Numbers of the folds.

    Raises:
        DataError: if there are fewer than two.
    """
    folds = sorted(int(fold) for fold in split_table["fold"].unique() if fold != NO_FOLD)
    if len(folds) < 2:
        raise DataError(
            f"the split has {len(folds)} fold(s) with rows, cross-validation needs at least two: it has "
            f"{len(split_table):,} products. Bring more products, or lower splitting.folds."
        )
    return folds


class TrainedModel(Protocol):
    """A checkpoint or an ensemble."""

    @property
    def name(self) -> str:
        """Of the variant, or ``ensemble``."""

    @property
    def data(self) -> Mapping[str, str]:
        """Fingerprints of the data it was trained on."""


def rows_to_report(split_table: pd.DataFrame, model: TrainedModel | None = None) -> Rows:
    """Rows that figures are of: the holdout, or the validation rows where there is none.

    Args:
        split_table: of all products.
        model: whose figures they are to be. A row that is held out now may have been a train row of a model that was
            trained on another split.

    Raises:
        ComparisonError: if the model was trained on another split, or is a final fit.
    """
    if model is not None and EVALUATED in model.data:
        raise ComparisonError(
            f"{model.name}: this is a final fit on all labelled rows, the holdout among them, so that no figure of it would be "
            "honest. Evaluate the model whose training it repeats: the one beside the folder 'final'."
        )
    if model is not None and model.data.get("split") not in (None, frame_fingerprint(split_table, "split")):
        raise ComparisonError(
            f"{model.name} was trained on another split than the one that is there now: rows that are held out now may be "
            "among those that it was fitted on, and its figures would flatter it. Train it again on this split (kedro run "
            f"--pipelines {pipeline_of(model, 'train')}), or make its own split again (kedro run --pipelines split, with the seed, the splitting "
            "parameters and the files of that time)."
        )
    return np.flatnonzero(split_table["split"].to_numpy() == evaluated_split(split_table))


def pipeline_of(model: TrainedModel, stage: str) -> str:
    """The pipeline that runs a stage of a model; an ensemble has one for all, and so has an estimator."""
    if model.name in ESTIMATOR_KINDS:
        return f"predict_{model.name}"
    return model.name if model.name == "ensemble" else f"{stage}_{model.name}"


def refuse_stale(final: TrainedModel, evaluated: str) -> None:
    """Refuse a final fit of another model than the one that is there now: the published error would not be of its training.

    Args:
        final: that is to predict.
        evaluated: digest of the model that is there.

    Raises:
        CheckpointError: if they do not belong together.
    """
    if final.data.get(EVALUATED) != evaluated:
        raise CheckpointError(
            f"{final.name}: its final fit is stale, as the model that was evaluated has been trained again since. Fit it again "
            f"(kedro run --pipelines {pipeline_of(final, 'predict')}), or have the evaluated model predict (--params final_fit=false)."
        )


def _fit_and_stop(
    samples: pd.DataFrame, folds: NDArray[np.int64], rows: Rows, *, selects: bool, draw: str
) -> tuple[Rows, Rows]:
    """Rows to fit and rows to stop on, none if nothing is selected."""
    if not selects:
        return rows, rows[:0]
    free = rows[folds[rows] != NO_FOLD]
    groups, group_of = _groups(samples, free)
    parts = deal(groups, (1 - STOP_FRACTION, STOP_FRACTION), quantiles=STRATA, draw=draw, fill=True)
    stop = free[parts[group_of] == 1]
    return np.setdiff1d(rows, stop), stop


def _groups(samples: pd.DataFrame, rows: Rows) -> tuple[Groups, NDArray[np.int64]]:
    """The groups of some rows, and the number of each row's group."""
    chosen = samples.iloc[rows]
    return groups_of(ids_of(chosen["sample_id"]), chosen["group_key"].to_numpy(), chosen["price"].to_numpy(np.float64))
