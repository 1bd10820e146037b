"""How a model is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from price_fusion.parameters.base import Fraction, Gigabytes, Parameters, Positive

LossName = Literal[
    "weighted_smape",
    "smape",
    "focal_smape",
    "hybrid_focal_smape",
    "huber",
    "weighted_huber",
    "quantile_huber",
    "adaptive_huber",
    "focal_huber",
    "mse",
    "mae",
    "log_mae",
]


class TrainParameters(Parameters):
    """How one variant is trained."""

    loss: LossName = "log_mae"
    then_loss: LossName | None = None
    """Another loss for a second phase."""
    then_from_epoch: Annotated[int, Field(ge=2)] | None = None
    """First epoch of the second phase."""
    epochs: PositiveInt | Literal["auto"] = 1_000
    """At most; early stopping usually ends sooner. ``auto``: as many as the number of train rows asks for."""
    batch_size: PositiveInt | Literal["auto"] = 256
    """Products of a step. ``auto``: an eighth of the train rows, 16 to 256."""
    learning_rate: Positive = 1e-3
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient of all weights together."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """``plateau``: the rate drops when validation SMAPE stalls; ``cosine``: it falls to the minimum over all epochs."""
    cosine_epochs: PositiveInt | None = None
    """Epochs over which ``cosine`` falls; None: all. More of them than epochs: training ends before the rate is at its minimum."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's weights are kept: those with the best validation SMAPE, or the last ones, selected on nothing."""
    warmup_epochs: Annotated[float, Field(ge=0.0)] | Literal["auto"] = 0.0
    """Epochs, or part of one, in which the rate rises from 0 first. ``auto``: 15 % of all."""
    plateau_patience: Annotated[int, Field(ge=0)] = 3
    """Epochs without a better validation SMAPE before the learning rate drops."""
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    plateau_epochs: tuple[PositiveInt, ...] | None = None
    """Epochs after which ``plateau`` drops the learning rate; None: where validation SMAPE stalls."""
    min_learning_rate: Annotated[float, Field(ge=0.0)] = 1e-6
    early_stopping_patience: PositiveInt | None = 15
    """Epochs without a better validation SMAPE before training ends; None: only the last epoch ends it."""
    ema_decay: Fraction = 0.0
    """Validate and keep an exponential moving average of the weights, with this decay per step; 0: the weights themselves."""
    ema_ramp: bool = True
    """Begin that average as the even mean of all steps so far, until its window of 1 / (1 - ``ema_decay``) steps is full;
    else a short training keeps much of its random start."""
    source_dropout: Fraction = 0.0
    """Probability that a source of a product is hidden in a training step. The last one is never hidden."""
    checkpoint_every: PositiveInt = 100
    """Epochs between the checkpoints kept beside the best one."""
    resume: bool | Literal["anyway", "if_same"] = False
    """Go on from the last state in the run folder, if there is one; ``anyway``: also where it is of another configuration,
    code, data or machine, whose differences are then logged; ``if_same``: start afresh where it is of another."""
    state_every: Annotated[float, Field(ge=0.0)] = 60.0
    """Seconds between saves of the state that ``resume`` needs. It is also saved when training ends or is interrupted, and
    at the end of an epoch unless that would take over 5 % of the time."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """``auto``: bf16 matrix products where the machine has them, weights always in float32."""
    features_gb: Gigabytes | None = None
    """Memory (1e9 bytes) that embeddings may take on the device; above it they are read window by window. None: 70 % of
    the free memory of a GPU; no limit on the CPU, where they stay memory-mapped."""
    cuda_graph: bool = True
    """On a GPU, record the training step once and replay it."""

    @model_validator(mode="after")
    def _second_phase_is_whole(self) -> TrainParameters:
        if (self.then_loss is None) != (self.then_from_epoch is None):
            raise ValueError("then_loss and then_from_epoch go together: set both or neither")
        return self

    @property
    def selects(self) -> bool:
        """Whether validation rows have a say in what is trained: then they are no more fresh than train rows are."""
        plateaus = self.schedule == "plateau" and self.plateau_epochs is None
        return plateaus or self.keep == "best" or self.early_stopping_patience is not None

    def loss_at(self, epoch: int) -> LossName:
        """The loss of an epoch; the first epoch is 1."""
        if self.then_loss is not None and self.then_from_epoch is not None and epoch >= self.then_from_epoch:
            return self.then_loss
        return self.loss


class ResolvedTrainParameters(TrainParameters):
    """Training with a number wherever ``auto`` may stand; ``training.auto`` works them out from the train rows."""

    epochs: PositiveInt
    batch_size: PositiveInt
    warmup_epochs: Annotated[float, Field(ge=0.0)]
