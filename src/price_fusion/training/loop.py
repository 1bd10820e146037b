"""The training loop: from a batch to a loss, its gradient, and new weights.

``TrainingLoop.epoch`` takes the steps of an epoch; one of them is ``_step`` and, for its second half, ``update``. What
surrounds epochs (validation, the checkpoint that is kept, saved states) is in ``trainer.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain, islice

import torch
from torch import Tensor

from price_fusion.models.build import PriceModel
from price_fusion.models.device import autocast
from price_fusion.models.losses import LOSSES, Loss
from price_fusion.parameters import ResolvedTrainParameters
from price_fusion.training.loader.train_feed import Stretch
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.ranks import Ranks
from price_fusion.training.step.captured import StepRunner
from price_fusion.training.step.not_finite import BadBatchError
from price_fusion.training.step.schedules import Schedule
from price_fusion.training.step.source_dropout import hide_sources
from price_fusion.training.step.weights import FlatWeights, NotFiniteError
from price_fusion.training.training_run import RunProgress

logger = logging.getLogger(__name__)


class TrainingLoop:
    """The steps of one training run: weights, learning rates, the order of the rows, and how far it is.

    Args:
        name: of the variant, for messages.
        model: on its device; it is trained in place.
        options: batches, optimizer, schedule, losses, and how often sources are hidden.
        data: whose train rows.
        seed: of the order of the rows.
        bf16: whether matrix products run in it.
        ranks: who trains; each takes its own rows of a batch.
    """

    def __init__(
        self,
        name: str,
        model: PriceModel,
        options: ResolvedTrainParameters,
        data: TrainingData,
        *,
        seed: int,
        bf16: bool,
        ranks: Ranks | None = None,
    ) -> None:
        self.name, self.options, self.data, self.bf16, self.ranks = name, options, data, bf16, ranks or Ranks()
        self.weights = FlatWeights(model, options, bf16=bf16)
        self.feed = data.train_feed()
        self.schedule = Schedule(options, self.feed.steps(options.batch_size))
        self.progress = RunProgress()
        self.shuffler = torch.Generator().manual_seed(seed)
        self.epoch_shuffler = self.shuffler.get_state()
        """Of the generator, when the running epoch began."""
        self.loss_sum = torch.zeros((), device=data.device)
        """Over the products of the running epoch."""
        self.resumed_step = 0
        self.runner = StepRunner(options.batch_size, data.device, capture=options.cuda_graph)

    def epoch(self, number: int, after_step: Callable[[int], None]) -> float:
        """One pass over the train rows in random order, or what is left of it. Only its end waits for the device.

        Args:
            number: of the epoch; the first is 1.
            after_step: called after each step with the products of its batch, over all ranks.

        Returns:
            the mean loss.

        Raises:
            BadBatchError: if a loss or gradient is NaN or infinite.
        """
        progress, size, loss = self.progress, self.options.batch_size, LOSSES[self.options.loss_at(number)]
        self.weights.worker.train()
        for stretch in self.feed.epoch(self.shuffler, progress.products):
            first = progress.step
            try:
                for rows, products in stretch.batches(size):
                    self.weights.set_rate(self.schedule.rate(progress.step))
                    self.take(stretch, loss, rows)
                    progress.step += 1
                    progress.products += products
                    after_step(products)
                self.weights.check()
            except NotFiniteError as error:
                raise self._bad_batch(error, stretch, first, number) from error
        mean = float(self.loss_sum / self.feed.products)
        self.loss_sum.zero_()
        self.epoch_shuffler = self.shuffler.get_state()
        return mean

    def take(self, stretch: Stretch, loss: Loss, rows: Tensor) -> None:
        """Take a step, replayed where it was recorded; where memory is short, on half of the batch at a time, and so on.

        Args:
            stretch: that the batch is of.
            loss: of the epoch.
            rows: (B,) int64, into the stretch's features; those of this rank, which may be none.

        Raises:
            NotFiniteError: where steps wait for their loss, and it or its gradient is NaN or infinite.
            OutOfMemoryError: if there is none for a single product.
        """
        while True:
            stays = stretch.features is self.data.features  # between epochs, so that a recording serves for all
            plain = self.progress.micro_batch is not None or self.ranks.size > 1
            try:
                self.runner(rows, lambda rows: self._step(stretch, loss, rows), loss if stays and not plain else None)
            except torch.OutOfMemoryError as error:
                self._halve(error)
            else:
                return
            self.runner.forget()
            if rows.device.type == "cuda":
                torch.cuda.empty_cache()

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        """Compute half as many products at a time from here on."""
        size = self.progress.micro_batch or self.options.batch_size
        if size == 1:
            raise error
        self.progress.micro_batch = (size + 1) // 2
        logger.warning(
            "%s: %s has no memory for %d products at a time (%s); going on with %d at a time, %d a step as before",
            self.name,
            self.loss_sum.device,
            size,
            error,
            self.progress.micro_batch,
            self.options.batch_size,
        )

    def _bad_batch(self, error: NotFiniteError, stretch: Stretch, first: int, epoch: int) -> BadBatchError:
        """The batch of a loss or gradient that is NaN or infinite; ``first`` is the step of the stretch's first batch."""
        step = self.progress.step if error.step is None else self.resumed_step + error.step
        rows, _ = next(islice(stretch.batches(self.options.batch_size), step - first, None))
        ids = list(chain.from_iterable(self.ranks.gathered(stretch.ids_of(rows))))
        return BadBatchError(epoch, step, error.loss, self.schedule.rate(step), ids)

    def _step(self, stretch: Stretch, loss: Loss, rows: Tensor) -> None:
        """Train on one batch: its rows (B,) of a stretch, whole or in parts that the device has memory for."""
        weights, total = self.weights, torch.zeros((), device=self.loss_sum.device)
        parts = torch.split(rows, self.progress.micro_batch or len(rows)) if len(rows) else ()
        for number, part in enumerate(parts):
            batch = hide_sources(stretch.features.batch(part), self.options.source_dropout)
            with autocast(total.device, self.bf16):
                log_prices = weights.worker(batch)
            part_loss = loss(log_prices, stretch.prices[part]) * (len(part) / len(rows))
            weights.backward(part_loss, add=number > 0)
            total += part_loss.detach()
        mean, summand, factor = self.ranks.mean_(weights.gradients, total, len(rows))
        update(weights, mean)
        self.loss_sum.add_(summand, alpha=factor)


def update(weights: FlatWeights, loss: Tensor) -> None:
    """Step the weights down the gradient of a loss (detached), and take them into their average. Never waits for a GPU.

    Raises:
        NotFiniteError: where steps wait; nothing has changed then.
    """
    norm = weights.finite_norm(loss)
    weights.clip(norm)
    weights.optimizer.step()
    weights.round_matrices()
    weights.add_to_average()
