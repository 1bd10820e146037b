"""What a training run has done so far, and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from price_fusion.fusion.checkpoint import Checkpoint, CheckpointHeader
from price_fusion.fusion.engine.training_data import TrainingData
from price_fusion.parameters import TrainParameters, VariantParameters


@dataclass(frozen=True)
class Trained:
    """The best epoch's checkpoint and a record per epoch."""

    checkpoint: Checkpoint
    history: list[dict[str, Any]]


@dataclass
class RunProgress:
    """How far a run is."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_smape: float = math.inf
    history: list[dict[str, Any]] = field(default_factory=list)

    def is_over(self, options: TrainParameters) -> bool:
        """Whether the last epoch is done: the last of all, or of those without a better one."""
        stale = self.epoch - self.best_epoch
        return self.epoch >= options.epochs or (self.epoch > 0 and stale >= options.early_stopping_patience)


def checkpoint_header(
    name: str,
    parameters: VariantParameters,
    data: TrainingData,
    *,
    median_price: float,
    epoch: int,
    validation: dict[str, float],
    counts: dict[str, int],
) -> CheckpointHeader:
    """What a checkpoint of a run says of its weights.

    Args:
        name: of the variant.
        parameters: its composition.
        data: what it was trained on.
        median_price: of its train rows, USD.
        epoch: of the weights.
        validation: metrics of that epoch, on the rows that selected it.
        counts: parameters by component.
    """
    return CheckpointHeader(
        variant=name,
        sources=dict(data.sources),
        dtypes=dict(data.dtypes),
        model=parameters.model,
        median_price=median_price,
        epoch=epoch,
        validation=validation,
        data=data.fingerprints,
        parameter_counts=counts,
    )
