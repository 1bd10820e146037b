"""Studies of hyper-parameters on disk: what was tried, and how it went. Optuna keeps them in one SQLite file.

A study goes on where it was interrupted. What a trial draws follows from the seed and the trials finished before it, so
that an interrupted study and one that was not end alike; a trial that died is drawn again.

Trials are pruned by the median rule. Hyperband is made for many short trials of one length; here trials are few and
the number of epochs may itself be tuned. Trials are therefore compared by the tenth of their training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from pydantic import JsonValue

from price_fusion.errors import DataError, ParameterError, StorageError, TrainingError
from price_fusion.lazy import optional_package, pd
from price_fusion.parameters import Dimension, TuningParameters
from price_fusion.storage.files import storage_errors

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STEPS = 10
"""Tenths of a training after which trials are compared."""
UNPRUNED_STEPS = 2
"""The first ones say little: the learning rate still rises, and an average of weights lags behind."""
TRIALS_FOR_IMPORTANCE = 10
"""Complete trials below which the importance of parameters is noise."""

State = Literal["complete", "pruned", "failed"]
Values = Mapping[str, JsonValue]
"""A value for each tuned field, by path."""
Report = Callable[[int, float], None]
"""Takes a step, from 0, and SMAPE in percent so far; raises to end a trial that is not worth its end."""
Objective = Callable[[Values, Report], float]
"""Trains with some values; SMAPE in percent."""


@dataclass(frozen=True)
class Attempt:
    """One trial."""

    number: int
    state: State
    values: Values
    smape: float | None
    """Percent; of a pruned trial, when it was ended."""
    seconds: float | None
    failure: str | None
    """Why training failed, if it did; such a trial counts as pruned."""


@dataclass(frozen=True)
class TuningFolder:
    """The folder in which a variant is tuned."""

    variant: str
    path: Path

    @property
    def studies(self) -> Path:
        """All studies of the variant."""
        return self.path / "studies.db"


class Study:
    """What has been tried under one recipe, and what to try next.

    Args:
        study: of Optuna.
        space: fields to tune.
        configured: their values in ``conf/``.
        tuning: how many trials are drawn at random.
        seed: of the draws.
    """

    def __init__(
        self,
        study: OptunaStudy,
        space: Mapping[str, Dimension],
        configured: Values,
        tuning: TuningParameters,
        seed: int,
    ) -> None:
        self._study = study
        self._space = space
        self.configured = configured
        self._startup_trials = tuning.startup_trials
        self._seed = seed
        self._distributions = {path: _distribution(dimension, configured[path]) for path, dimension in space.items()}

    @property
    def attempts(self) -> list[Attempt]:
        """All trials but one that runs."""
        return [_attempt(trial) for trial in self._study.get_trials(deepcopy=False) if trial.state.is_finished()]

    @property
    def finished(self) -> list[Attempt]:
        """Trials that said something: those that died are not among them."""
        return [attempt for attempt in self.attempts if attempt.state != "failed"]

    @property
    def best(self) -> Attempt | None:
        """The complete trial with the lowest SMAPE, the first one of equals."""
        complete = [attempt for attempt in self.attempts if attempt.state == "complete"]
        return min(complete, key=lambda attempt: cast(float, attempt.smape), default=None)

    @property
    def as_configured(self) -> Attempt | None:
        """The trial of the configured values."""
        return next((attempt for attempt in self.finished if attempt.values == self.configured), None)

    def fail_unfinished(self) -> int:
        """Mark trials of a process that died as failed; how many there were."""
        running = [trial for trial in self._study.get_trials(deepcopy=False) if not trial.state.is_finished()]
        for trial in running:
            self._study.tell(trial.number, state=_state("FAIL"))
        return len(running)

    def next(self, objective: Objective) -> Attempt:
        """Try the configured values, if they are new, or else what the sampler draws."""
        return self._draw(objective) if self.as_configured else self._try_configured(objective)

    def importance(self) -> dict[str, float]:
        """How much of what differs between trials each field explains; nothing while there are few trials."""
        if sum(attempt.state == "complete" for attempt in self.attempts) < TRIALS_FOR_IMPORTANCE:
            return {}
        importance = import_module("optuna.importance")
        evaluator = importance.FanovaImportanceEvaluator(seed=self._seed)
        found = importance.get_param_importances(self._study, evaluator=evaluator)
        return {path: round(float(share), 3) for path, share in found.items()}

    def table(self) -> pd.DataFrame:
        """``number``, ``state``, ``smape`` (percent), ``seconds`` and each field; a row per trial."""
        return pd.DataFrame(
            [
                {
                    "number": attempt.number,
                    "state": attempt.state,
                    "smape": attempt.smape,
                    "seconds": attempt.seconds,
                    **{path: _shown(attempt.values.get(path)) for path in self._space},
                    "failure": attempt.failure,
                }
                for attempt in self.attempts
            ]
        )

    def _draw(self, objective: Objective) -> Attempt:
        optuna = import_module("optuna")
        self._study.sampler = optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence((self._seed, len(self.finished))).generate_state(1)[0]),
            n_startup_trials=self._startup_trials,
            multivariate=False,
            constant_liar=False,
        )
        trial = self._study.ask(self._distributions)
        values = {path: self._decoded(path, drawn) for path, drawn in trial.params.items()}
        trial.set_user_attr("values", values)

        def report(step: int, smape: float) -> None:
            trial.report(smape, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        smape, notes = _outcome(objective, values, report)
        for name, note in notes.items():
            trial.set_user_attr(name, note)
        return _attempt(self._study.tell(trial, smape, state=_state("PRUNED" if smape is None else "COMPLETE")))

    def _try_configured(self, objective: Objective) -> Attempt:
        """The configured values, never pruned. They may lie outside the space; then the sampler learns less of them."""
        optuna = import_module("optuna")
        reported: dict[int, float] = {}
        smape, notes = _outcome(objective, self.configured, reported.__setitem__)
        inside = [path for path, dimension in self._space.items() if dimension.contains(self.configured[path])]
        trial = optuna.trial.create_trial(
            state=_state("PRUNED" if smape is None else "COMPLETE"),
            value=smape,
            params={path: self._encoded(path, self.configured[path]) for path in inside},
            distributions={path: self._distributions[path] for path in inside},
            user_attrs={"values": dict(self.configured), **notes},
            intermediate_values=reported,
        )
        self._study.add_trial(trial)
        return self.attempts[-1]

    def _encoded(self, path: str, value: JsonValue) -> Any:
        return value if self._space[path].choices is None else json.dumps(value)

    def _decoded(self, path: str, drawn: Any) -> Any:
        return drawn if self._space[path].choices is None else json.loads(drawn)


@contextmanager
def open_study(
    folder: TuningFolder,
    recipe: str,
    space: Mapping[str, Dimension],
    configured: Values,
    tuning: TuningParameters,
    seed: int,
) -> Iterator[Study]:
    """Open the study of a recipe, or begin it.

    Args:
        folder: with the studies.
        recipe: digest of all that makes trials comparable.
        space: fields to tune.
        configured: their values in ``conf/``.
        tuning: how trials are drawn.
        seed: of the draws.

    Raises:
        MissingPackageError: if Optuna is not installed.
        DataError: if the file of studies is damaged.
        StorageError: if it cannot be written.
    """
    optuna = optional_package("optuna", "tuning")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=tuning.startup_trials, n_warmup_steps=0 if tuning.judged_on == "folds" else UNPRUNED_STEPS
    )
    with storage_errors(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    with _database_errors(folder.studies):
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder.studies}")
        try:
            study = optuna.create_study(
                storage=storage, study_name=recipe, load_if_exists=True, direction="minimize", pruner=pruner
            )
            yield Study(study, space, configured, tuning, seed)
        finally:
            storage.remove_session()
            storage.engine.dispose()


@contextmanager
def _database_errors(studies: Path) -> Iterator[None]:
    """Errors of the database as ours; Optuna wraps some of them."""
    sql = import_module("sqlalchemy.exc")
    wrapper = import_module("optuna.exceptions").StorageInternalError
    try:
        yield
    except (sql.DatabaseError, wrapper) as error:
        cause = error.__cause__ if isinstance(error, wrapper) else error
        reason = getattr(cause, "orig", cause)
        if isinstance(cause, sql.OperationalError):
            raise StorageError(
                f"{studies}: could not be read or written ({reason}). Trials that ended are in it. Fix the disk or the "
                "folder's permissions, and run again to go on."
            ) from error
        raise DataError(
            f"{studies}: no file of studies ({reason}). Remove it; its trials are lost, and tuning begins anew."
        ) from error


def _state(name: str) -> Any:
    return import_module("optuna.trial").TrialState[name]


def _outcome(objective: Objective, values: Values, report: Report) -> tuple[float | None, dict[str, Any]]:
    """What comes of a trial: SMAPE, or None where it was pruned or its training failed, and what to note of it."""
    notes: dict[str, Any] = {}
    smape: float | None = None
    started = perf_counter()
    try:
        smape = objective(values, report)
    except import_module("optuna").TrialPruned:
        pass
    except (TrainingError, ParameterError) as error:
        notes["failure"] = str(error)
    if smape is not None and not math.isfinite(smape):
        notes["failure"] = f"SMAPE is {smape}"
        smape = None
    return smape, {**notes, "seconds": round(perf_counter() - started, 2)}


def _distribution(dimension: Dimension, configured: object) -> BaseDistribution:
    """What Optuna draws from. Choices are JSON texts: it stores no lists."""
    distributions = import_module("optuna.distributions")
    drawn: BaseDistribution
    if dimension.choices is not None:
        drawn = distributions.CategoricalDistribution([json.dumps(choice) for choice in dimension.choices])
        return drawn
    ends = (dimension.low, dimension.high)
    whole = isinstance(configured, int) or (configured is None and all(isinstance(end, int) for end in ends))
    if whole:
        low, high = (int(cast(float, end)) for end in ends)
        drawn = distributions.IntDistribution(low, high, log=dimension.log, step=int(dimension.step or 1))
    else:
        drawn = distributions.FloatDistribution(*ends, log=dimension.log, step=dimension.step)
    return drawn


def _attempt(trial: FrozenTrial) -> Attempt:
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned"}
    notes = trial.user_attrs
    return Attempt(
        number=trial.number,
        state=states.get(trial.state.name, "failed"),
        values=notes.get("values", {}),
        smape=trial.value,
        seconds=notes.get("seconds"),
        failure=notes.get("failure"),
    )


def _shown(value: JsonValue) -> JsonValue:
    """A value as CSV holds it."""
    return json.dumps(value) if isinstance(value, list | dict) else value
