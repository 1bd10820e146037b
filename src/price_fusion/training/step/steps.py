"""Training steps: the loss of a batch, its gradient, and the update; whole, or in parts that a device has memory for."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from price_fusion.models.device import autocast
from price_fusion.models.features import Features
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.models.losses import LOSSES
from price_fusion.parameters import LossName, ResolvedTrainParameters
from price_fusion.training.loader.feed import Stretch
from price_fusion.training.processes.ranks import Ranks
from price_fusion.training.step.captured import StepRunner
from price_fusion.training.step.weights import FlatWeights
from price_fusion.training.training_run import RunProgress

logger = logging.getLogger(__name__)


class Steps:
    """The steps of one training run, and the sum of their losses.

    Args:
        name: of the variant, for messages.
        weights: that are trained.
        options: batches, and how often sources are hidden.
        features: all of them; steps on these are recorded on a GPU, those on windows are not.
        progress: takes note of the parts that a device has memory for.
        bf16: whether matrix products run in it.
        ranks: who trains; each takes its own rows of a batch.
    """

    def __init__(
        self,
        name: str,
        weights: FlatWeights,
        options: ResolvedTrainParameters,
        features: Features,
        progress: RunProgress,
        *,
        bf16: bool,
        ranks: Ranks | None = None,
    ) -> None:
        self.name = name
        self.ranks = ranks or Ranks()
        self.weights = weights
        self.options = options
        self.features = features
        self.progress = progress
        self.bf16 = bf16
        self.device = weights.values.device
        self.loss_sum = torch.zeros((), device=self.device)
        """Over the products of the running epoch."""
        self._runner: tuple[LossName, StepRunner] | None = None

    def take(self, stretch: Stretch, loss: LossName, rows: Tensor) -> None:
        """Train on one batch; where the device has no memory for it, on half of it at a time, and so on.

        Args:
            stretch: that the batch is of.
            loss: of the epoch.
            rows: (B,) int64, into the stretch's features; those of this rank, which may be none.

        Raises:
            NotFiniteError: where steps wait for their loss, and it or its gradient is NaN or infinite.
            OutOfMemoryError: if there is none for a single product.
        """
        while True:
            try:
                self._runner_of(stretch, loss)(rows)
            except torch.OutOfMemoryError as error:
                self._halve(error)
            else:
                return
            self._runner = None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        size = self.progress.micro_batch or self.options.batch_size
        if size == 1:
            raise error
        self.progress.micro_batch = (size + 1) // 2
        logger.warning(
            "%s: %s has no memory for %d products at a time (%s); going on with %d at a time, %d a step as before",
            self.name,
            self.device,
            size,
            error,
            self.progress.micro_batch,
            self.options.batch_size,
        )

    def _runner_of(self, stretch: Stretch, loss: LossName) -> StepRunner:
        """What takes a step on rows of a stretch. Features that stay share one recording between epochs."""
        whole = stretch.features is self.features
        if whole and self._runner is not None and self._runner[0] == loss:
            return self._runner[1]
        parts = self.progress.micro_batch

        def step(rows: Tensor) -> None:
            if self.ranks.size > 1:
                self._step_together(stretch, loss, rows)
                return
            if parts is None:
                total = self._loss(stretch, loss, rows)
                self.weights.step(total)
            else:
                total = self._backward_in_parts(stretch, loss, torch.split(rows, parts))
                self.weights.update(total)
            self.loss_sum.add_(total.detach(), alpha=len(rows))

        capture = whole and self.options.cuda_graph and parts is None and self.ranks.size == 1
        runner = StepRunner(step, self.options.batch_size, self.device, capture=capture)
        if whole:
            self._runner = (loss, runner)
        return runner

    def _step_together(self, stretch: Stretch, loss: LossName, rows: Tensor) -> None:
        """A step of all ranks: each adds the gradient of its own rows, and all make the same update."""
        gradients, own = self.weights.gradients, torch.zeros(2, device=self.device)
        if len(rows):
            parts = torch.split(rows, self.progress.micro_batch or len(rows))
            own[0], own[1] = self._backward_in_parts(stretch, loss, parts), 1
            own *= len(rows)
            gradients.mul_(len(rows))
        else:
            gradients.zero_()
        self.ranks.sum_(gradients)
        self.ranks.sum_(own)
        total, products = own
        gradients.div_(products)
        self.loss_sum.add_(total)
        self.weights.update(total / products)

    def _backward_in_parts(self, stretch: Stretch, loss: LossName, parts: tuple[Tensor, ...]) -> Tensor:
        """Gradient of the mean loss of a batch, a part at a time; the loss."""
        count = sum(len(part) for part in parts)
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(parts):
            value = self._loss(stretch, loss, part) * (len(part) / count)
            self.weights.backward(value, add=number > 0)
            total += value.detach()
        return total

    def _loss(self, stretch: Stretch, loss: LossName, rows: Tensor) -> Tensor:
        batch = hide_sources(stretch.features.batch(rows), self.options.source_dropout)
        with autocast(self.device, self.bf16):
            log_prices = self.weights.worker(batch)
        return LOSSES[loss](log_prices, stretch.prices[rows])


def hide_sources(batch: dict[str, SourceBatch], probability: float) -> dict[str, SourceBatch]:
    """Mark sources of embeddings as absent at random, never the last one that a product has.

    Columns are there for every product, now and later: hiding them would only take away what they tell.

    Args:
        batch: (B, ...) per source.
        probability: of hiding, for each source of each product.
    """
    if not probability:
        return batch
    hidden = {name: source for name, source in batch.items() if source.vectors.shape[1]}
    if not hidden:
        return batch
    present = torch.stack([source.present for source in hidden.values()])
    kept = present & (torch.rand(present.shape, device=present.device) >= probability)
    kept = torch.where(kept.any(dim=0), kept, present)
    return batch | {
        name: source._replace(present=row) for (name, source), row in zip(hidden.items(), kept, strict=True)
    }
