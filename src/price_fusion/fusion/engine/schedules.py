"""Learning rates over the course of training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from price_fusion.parameters import TrainParameters


@dataclass
class Schedule:
    """The learning rate of each step, as plain arithmetic whose whole state is three numbers."""

    parameters: TrainParameters
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
        return rising * self._after_warmup(step - warmup, options.epochs * self.steps_per_epoch - warmup)

    def _after_warmup(self, step: float, steps: float) -> float:
        options = self.parameters
        if options.schedule == "constant":
            return options.learning_rate
        if options.schedule == "plateau":
            return max(options.learning_rate * self.factor, options.min_learning_rate)
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
