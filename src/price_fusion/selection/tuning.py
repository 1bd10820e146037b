"""Tuning: hyper-parameters of a variant, judged on rows that its models were not fitted on, and never on the holdout.

The best of many trials was chosen on the rows that judge it: its SMAPE there is a little too good, and so are intervals
and ensemble weights calibrated on them later. Figures of the holdout are not touched by that.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from price_fusion.data.roles import Roles, roles_of_fold, roles_of_split
from price_fusion.errors import DataError, ParameterError, TrainingError
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.features import features_from_tables
from price_fusion.models.network import Network
from price_fusion.parameters import Dimension, TuningParameters, VariantParameters
from price_fusion.parameters.base import fields_of
from price_fusion.parameters.tuning import nested, refusals, with_fields
from price_fusion.selection.cross_validation import LabelledData, check_folds
from price_fusion.selection.study import STEPS, Attempt, Report, Study, TuningFolder, Values, open_study
from price_fusion.training.auto import resolved
from price_fusion.training.loader.training_data import training_data
from price_fusion.training.recipe import WITHOUT_EFFECT, recipe
from price_fusion.training.trainer import AfterEpoch, train_variant
from price_fusion.training.training_run import Trained

logger = logging.getLogger(__name__)

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Tuned:
    """What came of a study."""

    best: dict[str, Any]
    """The best values, in the sections of ``parameters.yml``."""
    trials: pd.DataFrame
    """As ``Study.table``."""
    summary: dict[str, Any]


def tune_variant(
    variant: VariantParameters, labelled: LabelledData, tuning: TuningParameters, folder: TuningFolder, *, seed: int
) -> Tuned:
    """Try hyper-parameters until there are as many finished trials as asked for, or time is up.

    A study of the same variant, data, rows and space goes on where it ended. The first trial is the variant as it is
    configured: the best is never worse.

    Args:
        variant: composition and training; the space replaces some of it.
        labelled: products and their sources.
        tuning: what to try, how often, and what to judge it on.
        folder: takes the trials as they come. One process at a time.
        seed: of the draws and of each training.

    Raises:
        ParameterError: if nothing is to be tuned, or the variant refuses a value of the space.
        DataError: if there are no rows to judge on, or as ``check_folds``.
        MissingPackageError: if Optuna is not installed.
        TrainingError: if no trial came to its end.
    """
    space = space_of(folder.variant, variant, tuning)
    judge = Judge(variant, labelled, tuning, folder, seed=seed)
    fields = fields_of(judge.resolved(variant))  # the sampler learns from numbers
    configured = {path: fields[path] for path in space}
    with open_study(folder, judge.recipe(space), space, configured, tuning, seed) as study:
        _run(study, judge, tuning, folder.variant)
        best = study.best
        if best is None:
            raise TrainingError(
                f"{folder.variant}: none of {len(study.finished)} trials came to its end; the first one: "
                f"{study.finished[0].failure}"
            )
        tuned = Tuned(nested(best.values), study.table(), _summary(study, best, judge, tuning))
    _log_outcome(folder.variant, tuned.summary)
    _warn_of_chance(folder.variant, tuned.summary)
    return tuned


def space_of(name: str, variant: VariantParameters, tuning: TuningParameters) -> dict[str, Dimension]:
    """The fields of a variant that are tuned; those that it lacks are left out.

    Raises:
        ParameterError: if there are none, or the variant refuses a value.
    """
    fields = fields_of(variant)
    space = {path: dimension for path, dimension in tuning.dimensions.items() if path in fields}
    lacking = [path for path in tuning.dimensions if path not in fields]
    if lacking:
        logger.info("%s has no %s: not tuned", name, ", ".join(lacking))
    if not space:
        raise ParameterError(f"tuning.space names no field of {name}. It has: {', '.join(fields)}.")
    problems = [
        f"  - tuning.space.{path}: {refusal}"
        for path, dimension in space.items()
        for refusal in refusals(variant, path, dimension, field_alone=False)
    ]
    if problems:
        listing = "\n".join(problems)
        raise ParameterError(f"{name} cannot have {len(problems)} of the values to try:\n{listing}\nMend tuning.space.")
    return space


class Judge:
    """Trains a variant with other hyper-parameters and judges it.

    Args:
        variant: whose hyper-parameters are replaced.
        labelled: products and their sources.
        tuning: what to judge on. On ``validation`` all validation rows judge, and a training that selects an epoch selects
            it on them, too: the gain of a selection is then overrated, for all trials alike.
        folder: for the files of trainings.
        seed: of each training, the same for all trials.
    """

    def __init__(
        self,
        variant: VariantParameters,
        labelled: LabelledData,
        tuning: TuningParameters,
        folder: TuningFolder,
        *,
        seed: int,
    ) -> None:
        self._variant = variant
        self._labelled = labelled
        self._tuning = tuning
        self._folder = folder
        self._seed = seed
        self.judged: dict[str, NDArray[np.float64]] = {}
        """SMAPE of each judged row in the trials of this process, by their values as JSON."""
        self._folds: list[int] = []
        if tuning.judged_on == "folds":
            self._folds = check_folds(labelled.samples, labelled.split_table)[: tuning.folds]
        options = variant.train
        self._data = training_data(
            labelled.samples, labelled.split_table, labelled.tables, options.device, options.features_gb
        )
        self.rows = np.sort(np.concatenate([roles.calibrate for roles in self._roles(selects=False)]))
        if not len(self.rows):
            raise DataError(
                f"{folder.variant}: there are no rows to judge on. Give splitting.proportions more validation."
            )

    def resolved(self, variant: VariantParameters) -> VariantParameters:
        """A variant with the numbers that ``auto`` stands for in the first training of a trial."""
        rows = len(next(self._roles(selects=variant.train.selects)).fit)
        return variant.model_copy(update={"train": resolved(variant.train, rows)})

    def recipe(self, space: Mapping[str, Dimension]) -> str:
        """Digest of all that makes trials comparable: data, rows, seed, space, and what of the variant is not tuned."""
        without_effect = {f"train.{name}" for name in WITHOUT_EFFECT}
        fixed = {
            path: value
            for path, value in fields_of(self._variant).items()
            if path not in space and path not in without_effect
        }
        described = {
            "variant": fixed,
            "space": {path: dimension.model_dump(mode="json") for path, dimension in space.items()},
            "judged_on": self._tuning.judged_on,
            "folds": self._folds,
            "seed": self._seed,
            "data": self._data.fingerprints,
        }
        return recipe(
            described, [rows for roles in self._roles(selects=False) for rows in (roles.fit, roles.calibrate)]
        )

    def smape(self, values: Values, report: Report) -> float:
        """Mean SMAPE in percent of the judged rows.

        Args:
            values: that replace the configured ones.
            report: takes SMAPE so far, after each tenth of a training on the split, or after each fold.

        Raises:
            TrainingError: if training fails.
            ParameterError: if the variant refuses the values together.
        """
        try:
            parameters = with_fields(self._variant, {**values, "train.resume": False})
        except ValidationError as error:
            problems = "; ".join(problem["msg"] for problem in error.errors(include_url=False))
            raise ParameterError(f"{self._folder.variant} cannot have these values together: {problems}") from error
        judge = self._of_folds if self._folds else self._of_split
        smape, self.judged[_key(values)] = judge(parameters, report)
        return smape

    def _of_split(self, parameters: VariantParameters, report: Report) -> tuple[float, NDArray[np.float64]]:
        (roles,) = self._roles(selects=False)
        trained = self._train(
            parameters, roles, after_each_tenth(report, resolved(parameters.train, len(roles.fit)).epochs)
        )
        return trained.checkpoint.header.validation["smape"], self._per_row(trained, roles)

    def _of_folds(self, parameters: VariantParameters, report: Report) -> tuple[float, NDArray[np.float64]]:
        judged: list[NDArray[np.float64]] = []
        for number, roles in enumerate(self._roles(selects=parameters.train.selects)):
            if number:
                report(number - 1, float(np.concatenate(judged).mean()))
            judged.append(self._per_row(self._train(parameters, roles), roles))
        per_row = np.concatenate(judged)
        return float(per_row.mean()), per_row

    def _per_row(self, trained: Trained, roles: Roles) -> NDArray[np.float64]:
        """SMAPE of each row that judges, in percent."""
        samples = self._labelled.samples.iloc[roles.calibrate]
        network = Network(trained.checkpoint)
        logs = network.log_prices(features_from_tables(samples, self._labelled.tables, network.sources))
        return smape_per_product(network.price_scale.prices(logs), samples["price"].to_numpy(np.float64))

    def _train(self, parameters: VariantParameters, roles: Roles, after_epoch: AfterEpoch | None = None) -> Trained:
        name, data = self._folder.variant, self._data.with_rows(roles.fit, roles.watched)
        return train_variant(name, parameters, data, seed=self._seed, run=None, quiet=True, after_epoch=after_epoch)

    def _roles(self, *, selects: bool) -> Iterator[Roles]:
        """Roles of the models of one trial; ``calibrate`` rows judge."""
        samples, split_table = self._labelled.samples, self._labelled.split_table
        if self._tuning.judged_on == "validation":
            yield roles_of_split(samples, split_table, selects=False, seed=self._seed)
        for fold in self._folds:
            yield roles_of_fold(samples, split_table, fold, selects=selects, seed=self._seed)


def after_each_tenth(report: Report, epochs: int) -> AfterEpoch:
    """Report SMAPE by the tenth of the training that an epoch ends, so that trainings of any length compare.

    The last tenth is not reported: a training that is over is not pruned.
    """

    def after_epoch(record: dict[str, Any]) -> None:
        before, now = ((record["epoch"] - gone) * STEPS // epochs for gone in (1, 0))
        for tenth in range(before, min(now, STEPS - 1)):
            report(tenth, record["smape"])

    return after_epoch


def _run(study: Study, judge: Judge, tuning: TuningParameters, name: str) -> None:
    """Try until there are enough finished trials or no time is left."""
    died, before = study.fail_unfinished(), len(study.finished)
    if died or before:
        logger.info("%s: goes on after %d finished trials; %d died and do not count", name, before, died)
    started = perf_counter()
    while (finished := len(study.finished)) < tuning.trials:
        out_of_time = tuning.hours is not None and perf_counter() - started >= tuning.hours * SECONDS_PER_HOUR
        if out_of_time and finished > before:
            logger.warning(
                "%s: %d of %d trials in %g hours; run again to go on", name, finished, tuning.trials, tuning.hours
            )
            return
        attempt = study.next(judge.smape)
        gone = perf_counter() - started
        left = gone / (finished + 1 - before) * (tuning.trials - finished - 1)
        _log(name, attempt, study.best, f"{finished + 1} of {tuning.trials}", left)


def _log(name: str, attempt: Attempt, best: Attempt | None, count: str, left: float) -> None:
    outcome = "no result" if attempt.smape is None else f"SMAPE {attempt.smape:.2f} %"
    if attempt.failure is not None:
        logger.warning("%s trial %d failed: %s", name, attempt.number, attempt.failure)
    shown = "none yet" if best is None else f"{best.smape:.2f} % of trial {best.number}"
    logger.info(
        "%s trial %d (%s) %s: %s in %.1f s; best %s; about %.0f s left",
        name,
        attempt.number,
        count,
        attempt.state,
        outcome,
        attempt.seconds,
        shown,
        left,
    )


def _log_outcome(name: str, summary: Mapping[str, Any]) -> None:
    configured = summary["configured_smape"]
    logger.info(
        "%s: on %d judged rows SMAPE %s as configured, %.2f %% at best (trial %d)",
        name,
        summary["rows"],
        "unknown" if configured is None else f"{configured:.2f} %",
        summary["best_smape"],
        summary["best_trial"],
    )


def _warn_of_chance(name: str, summary: Mapping[str, Any]) -> None:
    """Say so if as many trials of equal worth would have gained as much."""
    error, configured = summary["gain_standard_error"], summary["configured_smape"]
    if not error or configured is None:
        return
    gain, trials = configured - summary["best_smape"], summary["complete"]
    by_chance = error * math.sqrt(2 * math.log(trials))
    if 0 < gain < by_chance:
        logger.warning(
            "%s: the gain of %.2f points is no more than chance gives: on %d rows its standard error is %.2f points, and the "
            "best of %d trials of equal worth would seem better by up to %.2f. Judge on more rows (tuning.judged_on: folds; "
            "a larger share for validation in splitting.proportions), or keep the parameters that you have.",
            name,
            gain,
            summary["rows"],
            error,
            trials,
            by_chance,
        )


def gain_standard_error(judged: Mapping[str, NDArray[np.float64]], before: Values, after: Values) -> float | None:
    """Standard error of the difference in mean SMAPE of two trials on the same rows, in points.

    Args:
        judged: SMAPE of each row, by values as JSON.
        before: values of one trial.
        after: of the other one.

    Returns:
        None where one of them was judged by an earlier process, or there are fewer than two rows.
    """
    if not {_key(before), _key(after)} <= judged.keys():
        return None
    differences = judged[_key(before)] - judged[_key(after)]
    return float(differences.std(ddof=1) / math.sqrt(len(differences))) if len(differences) > 1 else None


def _key(values: Values) -> str:
    return json.dumps(dict(values), sort_keys=True)


def _summary(study: Study, best: Attempt, judge: Judge, tuning: TuningParameters) -> dict[str, Any]:
    states = [attempt.state for attempt in study.attempts]
    configured = study.as_configured
    return {
        "judged_on": tuning.judged_on,
        "rows": len(judge.rows),
        "configured_smape": configured.smape if configured and configured.state == "complete" else None,
        "best_smape": best.smape,
        "best_trial": best.number,
        "gain_standard_error": gain_standard_error(judge.judged, study.configured, best.values),
        "best": dict(best.values),
        "complete": states.count("complete"),
        "pruned": states.count("pruned"),
        "training_failed": sum(attempt.failure is not None for attempt in study.attempts),
        "died": states.count("failed"),
        "seconds": round(sum(attempt.seconds or 0.0 for attempt in study.attempts), 1),
        "importance": study.importance(),
    }
