"""What ``auto`` stands for in the parameters of a training: numbers that follow from its train rows.

How long training takes to leave its random start is a matter of optimizer steps, and few rows make few steps an epoch: so
small data gets smaller batches and more epochs. Measured in docs/decisions/0012-networks.md.
"""

from __future__ import annotations

import math

from price_fusion.parameters import ResolvedTrainParameters, TrainParameters

FEWEST_STEPS = 400
"""Of a training, whatever the number of rows."""
FEWEST_EPOCHS = 20
"""Of data that is large enough for that many steps."""
MOST_STEPS = 20_000
"""Of data for which 20 epochs are more: a limit of cost, reached from 256,000 rows on; there is at least one epoch."""
BATCHES = (16, 256)
"""Smallest and largest batch."""
BATCH_SHARE = 8
"""A batch is one part of so many of the train rows, within ``BATCHES``."""
WARMUP_SHARE = 0.15
"""Of the epochs."""


def resolved(train: TrainParameters, rows: int) -> ResolvedTrainParameters:
    """Parameters of a training with all numbers known; numbers that are given stay.

    Args:
        train: as configured.
        rows: to fit, over all processes.

    Examples:
        >>> auto = TrainParameters(epochs="auto", batch_size="auto", warmup_epochs="auto")
        >>> found = resolved(auto, 1_000)
        >>> found.batch_size, found.epochs, found.warmup_epochs
        (125, 50, 7.5)
        >>> resolved(auto.model_copy(update={"batch_size": 64}), 1_000).epochs
        25
    """
    batch = _batch(rows) if train.batch_size == "auto" else train.batch_size
    epochs = _epochs(math.ceil(rows / batch)) if train.epochs == "auto" else train.epochs
    warmup = WARMUP_SHARE * epochs if train.warmup_epochs == "auto" else train.warmup_epochs
    numbers = {"batch_size": batch, "epochs": epochs, "warmup_epochs": warmup}
    return ResolvedTrainParameters.model_validate(train.model_dump() | numbers)


def explained(train: TrainParameters, rows: int) -> str | None:
    """A sentence on what ``auto`` became and why; None where nothing is ``auto``."""
    if "auto" not in (train.batch_size, train.epochs, train.warmup_epochs):
        return None
    found = resolved(train, rows)
    steps = math.ceil(rows / found.batch_size) * found.epochs
    return (
        f"batch {found.batch_size}, {steps:,} steps = {found.epochs} epochs, {found.warmup_epochs:g} of them warm-up, because "
        f"{rows:,} train rows"
    )


def _batch(rows: int) -> int:
    smallest, largest = BATCHES
    return min(largest, max(smallest, rows // BATCH_SHARE))


def _epochs(steps_per_epoch: int) -> int:
    most = max(1, MOST_STEPS // max(steps_per_epoch, 1))
    return min(most, max(FEWEST_EPOCHS, math.ceil(FEWEST_STEPS / max(steps_per_epoch, 1))))
