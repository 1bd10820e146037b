"""What a training run has done so far, and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any

from torch import Tensor

from price_fusion.errors import TrainingError
from price_fusion.metrics.price_scale import PriceScale
from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader, TrainingRecord
from price_fusion.parameters import ResolvedTrainParameters, TrainParameters, VariantParameters
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.recipe import WITHOUT_EFFECT


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
    products: int = 0
    """Of the running epoch, that were trained on."""
    first_step: int = 0
    """Of the running epoch."""
    seconds: float = 0.0
    """That the running epoch took before it was interrupted."""
    micro_batch: int | None = None
    """Products that the device computes at a time, where it had no memory for a batch; None: whole batches."""

    def __post_init__(self) -> None:
        self._began = perf_counter()

    def epoch_began(self) -> None:
        """Start the clock of an epoch, or of what is left of one."""
        self._began = perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of the running epoch, with those before an interruption."""
        return self.seconds + perf_counter() - self._began

    def state(self) -> dict[str, Any]:
        """What a continuation needs."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return values | {"seconds": self.elapsed if self.products else 0.0}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        for name, value in state.items():
            setattr(self, name, value)

    def note(self, record: dict[str, Any]) -> bool:
        """Take note of a finished epoch; whether its validation SMAPE is the best so far."""
        self.epoch = record["epoch"]
        self.history.append(record)
        self.products, self.first_step, self.seconds = 0, self.step, 0.0
        smape = record.get("smape", math.inf)
        if smape < self.best_smape or not self.best_epoch:
            self.best_smape, self.best_epoch = smape, self.epoch
            return True
        return False

    def is_over(self, options: ResolvedTrainParameters) -> bool:
        """Whether the last epoch is done: the last of all, or of those without a better one."""
        if self.epoch >= options.epochs:
            return True
        patience = options.early_stopping_patience
        return patience is not None and self.epoch > 0 and self.epoch - self.best_epoch >= patience


def check_selection(name: str, options: TrainParameters, validation_rows: int) -> None:
    """Refuse to select an epoch, a learning rate or an end of training on no rows: the first epoch would win.

    Raises:
        TrainingError: if something is selected and there are no validation rows.
    """
    if options.selects and not validation_rows:
        raise TrainingError(
            f"{name}: there are no validation rows to select on. Set {name}.train.keep to 'last', schedule to 'cosine' or "
            f"'constant', and early_stopping_patience to null, or leave some rows for validation."
        )


def check_judged(name: str, options: TrainParameters, values: Tensor, epoch: int) -> None:
    """Refuse weights, or log prices by them, that are NaN or infinite: nothing that comes after them could be.

    Raises:
        TrainingError: if one of the values is NaN or infinite.
    """
    if not values.isfinite().all():
        raise TrainingError(
            f"{name}: after epoch {epoch} the model predicts prices that are NaN or infinite: its weights grew too large. Lower "
            f"{name}.train.learning_rate (now {options.learning_rate:g}), {name}.train.min_learning_rate (now "
            f"{options.min_learning_rate:g}) or {name}.train.weight_decay (now {options.weight_decay:g})."
        )


def checkpoint_header(
    name: str,
    parameters: VariantParameters,
    data: TrainingData,
    *,
    price_scale: PriceScale,
    median_price: float,
    epoch: int,
    training: TrainingRecord,
    validation: dict[str, float],
    counts: dict[str, int],
) -> CheckpointHeader:
    """What a checkpoint of a run says of its weights.

    Args:
        name: of the variant.
        parameters: its composition and training, with all numbers known.
        data: what it was trained on.
        price_scale: of its log prices.
        median_price: of its train rows, in currency units.
        epoch: of the weights.
        training: the way to them.
        validation: metrics of that epoch on the validation rows, empty where there are none.
        counts: parameters by component.
    """
    return CheckpointHeader(
        variant=name,
        sources=dict(data.sources),
        dtypes=dict(data.dtypes),
        model=parameters.model,
        train=TrainParameters(**parameters.train.model_dump(exclude=set(WITHOUT_EFFECT))),
        price_scale=price_scale,
        median_price=median_price,
        epoch=epoch,
        training=training,
        validation=validation,
        data=data.fingerprints,
        parameter_counts=counts,
    )
