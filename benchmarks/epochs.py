"""Epochs of the project's own trainer, timed as a user waits for them, with the rows that steps were taken on."""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from torch import Tensor

from peaks import wait_for
from price_fusion.parameters import VariantParameters
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.step.captured import Step, StepRunner
from price_fusion.training.trainer import Trainer
from timing import Timings


@dataclass
class RowCount:
    """Rows that training steps were taken on."""

    rows: int = 0


@contextmanager
def counted_rows() -> Iterator[RowCount]:
    """Count the rows of all training steps of this process, of a single model (B,) or of stacked members (B, M)."""
    count, call = RowCount(), StepRunner.__call__

    def counted(runner: StepRunner, rows: Tensor, step: Step, key: Hashable) -> None:
        call(runner, rows, step, key)
        count.rows += rows.numel()

    StepRunner.__call__ = counted  # type: ignore[method-assign]
    try:
        yield count
    finally:
        StepRunner.__call__ = call  # type: ignore[method-assign]


def of_epochs(variant: VariantParameters, epochs: int, **train: Any) -> VariantParameters:
    """A variant that trains so many epochs, whatever validation says, with some other options."""
    options = {"epochs": epochs, "early_stopping_patience": None, "resume": False} | train
    return variant.model_copy(update={"train": variant.train.model_copy(update=options)})


def timed_epochs(
    name: str,
    variant: VariantParameters,
    data: TrainingData,
    repeats: int,
    *,
    prepare: Callable[[Trainer], None] = lambda _: None,
    between: Callable[[], None] = lambda: None,
) -> tuple[Trainer, Timings, float]:
    """Train for one epoch that is not counted and some that are, by ``Trainer.train``; nothing is written to disk.

    An epoch lasts from the end of the one before to its own: training steps, the average of the weights, and validation
    where there are validation rows.

    Args:
        name: of the variant.
        variant: its composition and training.
        data: what to train on.
        repeats: epochs that count.
        prepare: called with the trainer before it trains.
        between: called after each epoch that counts; not timed.

    Returns:
        the trainer as training left it, the timings, and the seconds of the first epoch, which holds what is done once.

    Raises:
        ImpossibleFigureError: if steps were taken on more or fewer rows than an epoch has.
    """
    timings, first, began = Timings(f"an epoch of {name}", len(data.train)), Timings("", len(data.train)), 0.0

    def epoch_ended(_: dict[str, Any]) -> None:
        nonlocal began
        wait_for(data.device)
        seconds, rows, count.rows = perf_counter() - began, count.rows, 0
        if not first.seconds:
            first.note(rows, seconds)
        else:
            timings.note(rows, seconds)
            between()
        began = perf_counter()

    trainer = Trainer(
        name, of_epochs(variant, 1 + repeats), data, seed=0, run=None, quiet=True, after_epoch=epoch_ended
    )
    prepare(trainer)
    with counted_rows() as count:
        began = perf_counter()
        trainer.train()
    return trainer, timings, first.seconds[0]
