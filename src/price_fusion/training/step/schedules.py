"""Learning rates over the course of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from price_fusion.parameters import ResolvedTrainParameters


@dataclass
class Schedule:
    """The learning rate of each step, as plain arithmetic whose whole state is three numbers."""

    parameters: ResolvedTrainParameters
    steps_per_epoch: int
    factor: float = 1.0
    """What plateaus have left of the learning rate."""
    best: float = math.inf
    """Best validation SMAPE, in percent."""
    stale: int = 0
    """Epochs since it, or since the last drop."""

    def rate(self, step: int) -> float:
        """Learning rate of a step; the first step is 0."""
        options = self.parameters
        warmup = options.warmup_epochs * self.steps_per_epoch
        rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
        if options.schedule == "constant":
            return rising * options.learning_rate
        if options.schedule == "plateau":
            return rising * max(options.learning_rate * self._plateau_factor(step), options.min_learning_rate)
        falling = options.cosine_epochs or options.epochs
        return rising * self._cosine(step - warmup, falling * self.steps_per_epoch - warmup)

    def _plateau_factor(self, step: int) -> float:
        options = self.parameters
        if options.plateau_epochs is None:
            return self.factor
        over = [epoch for epoch in options.plateau_epochs if step >= epoch * self.steps_per_epoch]
        return math.prod([options.plateau_factor] * len(over))

    def _cosine(self, step: float, steps: float) -> float:
        options = self.parameters
        done = min(max(step / max(steps, 1), 0.0), 1.0)
        span = max(options.learning_rate - options.min_learning_rate, 0.0)
        return options.min_learning_rate + span * 0.5 * (1 + math.cos(math.pi * done))

    def epoch_ended(self, smape: float) -> None:
        """Take note of an epoch's validation SMAPE. An epoch counts as better from 0.01 % of the best on."""
        if smape < self.best * (1 - 1e-4):
            self.best, self.stale = smape, 0
        else:
            self.stale += 1
        if self.stale > self.parameters.plateau_patience:
            self.factor, self.stale = self.factor * self.parameters.plateau_factor, 0

    def state(self) -> dict[str, Any]:
        """What a continuation needs."""
        return {key: value for key, value in asdict(self).items() if key in ("factor", "best", "stale")}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        self.factor, self.best, self.stale = state["factor"], state["best"], state["stale"]


def plateau_epochs(parameters: ResolvedTrainParameters, smapes: Sequence[float]) -> tuple[int, ...]:
    """Epochs after which plateaus made the learning rate drop; the first epoch is 1.

    Args:
        parameters: of the training.
        smapes: validation SMAPE of each epoch, in percent; infinite where there were no validation rows.
    """
    if parameters.schedule != "plateau":
        return ()
    if parameters.plateau_epochs is not None:
        return tuple(epoch for epoch in parameters.plateau_epochs if epoch <= len(smapes))
    schedule, dropped = Schedule(parameters, steps_per_epoch=1), []
    for epoch, smape in enumerate(smapes, start=1):
        before = schedule.factor
        schedule.epoch_ended(smape)
        if schedule.factor < before:
            dropped.append(epoch)
    return tuple(dropped)
