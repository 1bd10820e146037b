"""Many members of one variant trained together, as one batched model: seeds of an ensemble, folds of a validation.

A GPU that steps one small model is mostly idle; here each of its kernels serves all members. On the CPU this works, and
is no faster than one by one. Shape letters: M members in training, B products of a batch, P weights of a member.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.utils.rnn import pad_sequence

from price_fusion.errors import TrainingError
from price_fusion.metrics.price_metrics import price_metrics
from price_fusion.models.checkpoint import Checkpoint, TrainingRecord
from price_fusion.models.counts import parameter_counts
from price_fusion.models.device import uses_bf16
from price_fusion.models.losses import LOSSES, Loss
from price_fusion.models.scoring import to_prices
from price_fusion.parameters import VariantParameters
from price_fusion.training.auto import resolved
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.stacked.members import Member, MemberRun, check_members, fresh_model
from price_fusion.training.stacked.stacked_model import StackedModel
from price_fusion.training.stacked.stacked_weights import StackedWeights
from price_fusion.training.step.captured import StepRunner
from price_fusion.training.step.schedules import Schedule, plateau_epochs
from price_fusion.training.training_run import Trained, check_judged, check_selection, checkpoint_header

logger = logging.getLogger(__name__)

BLOCK_PRODUCTS = 65_536
"""Products validated at a time, those of all members together."""


def train_stacked(
    name: str, parameters: VariantParameters, members: Sequence[Member], data: TrainingData
) -> list[Trained]:
    """Train members of a variant together, each until its early stopping or the last epoch.

    Each member ends as ``train_variant`` with its seed and rows would have ended, up to rounding, with two exceptions:
    dropout draws other numbers, and where members have different numbers of train rows, an epoch takes as many random
    rows of each as the one with the fewest has. Nothing is written to disk: ``resume``, ``checkpoint_every`` and
    ``state_every`` say nothing here.

    Args:
        name: of the variant.
        parameters: its composition and training.
        members: what to train, in any number that the device's memory holds beside the features.
        data: features and prices on the device; its own train and validation rows are not used.

    Returns:
        the best checkpoint and the history of each member. ``seconds`` in a record are those of all members together.

    Raises:
        ValueError: if there are no members, or one has no rows.
        TrainingError: if a member's loss stops being a number, or features or members do not fit the device.
    """
    try:
        return StackedTrainer(name, parameters, members, data).train()
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{name}: {data.device} is out of memory ({error}). Train fewer than {len(members)} members at a time, or lower "
            f"{name}.train.batch_size (now {resolved(parameters.train, _fewest_rows(members)).batch_size})."
        ) from error


class StackedTrainer:
    """The members' weights as one stack, and the run of each; those that are over leave the stack.

    ``runs`` are of all members, ``active`` those in training, in the order of the stack's rows.
    """

    def __init__(self, name: str, parameters: VariantParameters, members: Sequence[Member], data: TrainingData) -> None:
        check_members(members)
        if data.window_products is not None:
            raise TrainingError(
                f"{name}: members are trained together only where all features are on the device, and these "
                f"({data.features.bytes / 1e9:.1f} GB) are not. Raise {name}.train.features_gb, or train one by one."
            )
        self.name = name
        self.rows = _fewest_rows(members)
        self.options = options = resolved(parameters.train, self.rows)
        self.parameters = parameters = parameters.model_copy(update={"train": options})
        check_selection(name, options, min(len(member.validation) for member in members))
        self.data = data
        self.device = data.device
        members = [
            replace(member, train=member.train.to(self.device), validation=member.validation.to(self.device))
            for member in members
        ]
        models = [fresh_model(parameters, data, member).to(self.device) for member in members]
        self.model = StackedModel(models[0], data.features, bf16=uses_bf16(options.precision, self.device))
        self.counts = parameter_counts(models[0])
        self.weights = StackedWeights(models, options)
        steps_per_epoch = math.ceil(self.rows / options.batch_size)
        self.runs = [
            MemberRun(
                member,
                Schedule(options, steps_per_epoch),
                float(data.prices[member.train].median()) * data.unit,
                data.price_scale(member.train),
                dict(model.named_buffers()),
                torch.empty_like(self.weights.values[0]),
                torch.Generator().manual_seed(member.seed),
            )
            for member, model in zip(members, models, strict=True)
        ]
        self.active = list(self.runs)
        self.step = 0
        self._loss_sums = torch.zeros(len(members), device=self.device)
        self._runner = StepRunner(options.batch_size, self.device, capture=options.cuda_graph)

    def train(self) -> list[Trained]:
        """Run the epochs until all members are over."""
        while self.active:
            self._run_epoch()
        return [Trained(self._checkpoint(run), run.progress.history) for run in self.runs]

    def _run_epoch(self) -> None:
        """Train and validate all active members for one epoch, and let go of those that are over."""
        started = perf_counter()
        epoch = self.active[0].progress.epoch + 1
        rates = [run.schedule.rate(self.step) for run in self.active]
        losses = self._train_epoch(epoch)
        self._check_losses(losses, epoch)
        check_judged(self.name, self.options, self.weights.judged, epoch)
        metrics = (
            self._validate(epoch) if all(len(run.member.validation) for run in self.active) else [{}] * len(self.active)
        )
        seconds = perf_counter() - started
        for place, run in enumerate(self.active):
            record = {"epoch": epoch, "loss": losses[place], **metrics[place], "learning_rate": rates[place]}
            run.epoch_ended(record | {"seconds": seconds}, metrics[place], self.weights.judged[place])
        self._log_epoch(epoch, seconds)
        self._let_go()

    def _let_go(self) -> None:
        """Take members that are over out of the stack."""
        going_on = [place for place, run in enumerate(self.active) if not run.is_over]
        if going_on and len(going_on) < len(self.active):
            self.weights.keep(going_on)
            self._loss_sums = torch.zeros(len(going_on), device=self.device)
            self._runner.forget()  # a recorded step has the shapes and places of before
        self.active = [self.active[place] for place in going_on]

    def _train_epoch(self, epoch: int) -> list[float]:
        """One pass over each member's train rows in its order; mean losses. Only its end waits for the device."""
        self.model.template.train()
        self._loss_sums.zero_()
        loss = LOSSES[self.options.loss_at(epoch)]
        order = torch.stack([run.order(self.rows) for run in self.active], dim=1)
        batches = torch.split(order, self.options.batch_size)
        for rows, rates in zip(batches, self._rates(len(batches)), strict=True):
            self.weights.set_rates(rates)
            self._runner(rows, lambda rows: self._step(loss, rows), loss)
        self.step += len(batches)
        means: list[float] = (self._loss_sums / self.rows).tolist()
        return means

    def _step(self, loss: Loss, rows: Tensor) -> None:
        """Train each member on its rows of a batch, (B, M)."""
        index = rows.T
        log_prices = self.model.log_prices(
            self.weights.parameters, self.weights.buffers, index, self.options.source_dropout
        )
        losses = vmap(loss)(log_prices, self.data.prices[index])
        self.weights.step(losses)
        self._loss_sums.add_(losses.detach(), alpha=len(rows))

    def _rates(self, steps: int) -> Tensor:
        """Learning rates of the next steps, (steps, M)."""
        rates = [[run.schedule.rate(self.step + step) for run in self.active] for step in range(steps)]
        return torch.tensor(rates, dtype=torch.float32).to(self.device)

    @torch.no_grad()
    def _validate(self, epoch: int) -> list[dict[str, float]]:
        """Metrics of each active member on its validation rows."""
        self.model.template.eval()
        parameters = self.weights.by_name(self.weights.judged)
        rows = [run.member.validation for run in self.active]
        index = pad_sequence(rows, batch_first=True)  # the first product stands in where rows are fewer
        blocks = torch.split(index, max(1, BLOCK_PRODUCTS // len(rows)), dim=1)
        log_prices = torch.cat(
            [self.model.log_prices(parameters, self.weights.buffers, block) for block in blocks], dim=1
        ).cpu()
        check_judged(self.name, self.options, log_prices, epoch)
        prices = self.data.prices[index].cpu()
        metrics = []
        for predicted, true, own, run in zip(log_prices, prices, rows, self.active, strict=True):
            count = len(own)
            guessed = to_prices(predicted[:count], run.price_scale)
            metrics.append(price_metrics(guessed, true[:count].numpy() * self.data.unit))
        return metrics

    def _check_losses(self, losses: Sequence[float], epoch: int) -> None:
        for loss, run in zip(losses, self.active, strict=True):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"{self.name}: the loss of the member with seed {run.member.seed} became {loss} in epoch {epoch} "
                    f"(loss {self.options.loss_at(epoch)!r}). Lower {self.name}.train.learning_rate or "
                    f"{self.name}.train.gradient_clip."
                )

    def _log_epoch(self, epoch: int, seconds: float) -> None:
        losses = sorted(run.progress.history[-1]["loss"] for run in self.active)
        logger.info(
            "%s epoch %d/%d: %d of %d members in training, losses %.4f to %.4f, %.1f s, %s rows/s",
            self.name,
            epoch,
            self.options.epochs,
            len(self.active),
            len(self.runs),
            losses[0],
            losses[-1],
            seconds,
            f"{len(self.active) * self.rows / seconds:,.0f}",
        )

    def _checkpoint(self, run: MemberRun) -> Checkpoint:
        header = checkpoint_header(
            self.name,
            self.parameters,
            self.data,
            price_scale=run.price_scale,
            median_price=run.median_price,
            epoch=run.kept_epoch,
            training=self._record(run),
            validation=run.kept_metrics,
            counts=self.counts,
        )
        return Checkpoint(header, self.weights.state_dict(run.kept, run.buffers))

    def _record(self, run: MemberRun) -> TrainingRecord:
        smapes = [one.get("smape", math.inf) for one in run.progress.history[: run.kept_epoch]]
        return TrainingRecord(
            rows=len(run.member.train),
            epoch_rows=self.rows,
            steps=run.kept_epoch * run.schedule.steps_per_epoch,
            seed=run.member.seed,
            plateau_epochs=plateau_epochs(self.options, smapes),
        )


def _fewest_rows(members: Sequence[Member]) -> int:
    """Train rows of the member that has the fewest."""
    return min(len(member.train) for member in members)
