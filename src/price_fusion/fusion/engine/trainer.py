"""The training loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from price_fusion.errors import TrainingError
from price_fusion.fusion.checkpoint import PRICE_CEILING, Checkpoint, CheckpointHeader
from price_fusion.fusion.engine.captured import StepRunner
from price_fusion.fusion.engine.device import autocast, uses_bf16
from price_fusion.fusion.engine.feed import Feed, Stretch
from price_fusion.fusion.engine.progress import TrainingProgress, show_parameter_counts
from price_fusion.fusion.engine.run_folder import RunFolder
from price_fusion.fusion.engine.schedules import Schedule
from price_fusion.fusion.engine.scoring import score, to_prices
from price_fusion.fusion.engine.state import check_fingerprint, describe_run, load_state, save_state
from price_fusion.fusion.engine.training_data import TrainingData
from price_fusion.fusion.engine.training_run import RunProgress, Trained, check_selection, checkpoint_header
from price_fusion.fusion.engine.weights import FlatWeights
from price_fusion.fusion.losses import LOSSES
from price_fusion.fusion.metrics import price_metrics, smape_per_product
from price_fusion.fusion.models.branches import SourceBatch
from price_fusion.fusion.models.build import PriceModel, build_model
from price_fusion.fusion.models.counts import parameter_counts
from price_fusion.parameters import LossName, VariantParameters

logger = logging.getLogger(__name__)

AfterEpoch = Callable[[dict[str, Any]], None]


def train_variant(
    name: str,
    parameters: VariantParameters,
    data: TrainingData,
    *,
    seed: int,
    run: RunFolder,
    quiet: bool = False,
    after_epoch: AfterEpoch | None = None,
) -> Trained:
    """Train a variant until early stopping or the last epoch.

    Args:
        name: of the variant.
        parameters: its composition and training.
        data: features, prices and rows.
        seed: of the weights, of dropout and of the order of the rows.
        run: folder that takes checkpoints, state and history while training runs.
        quiet: leave the table of parameters and the lines per epoch out: for one run of many.
        after_epoch: called with each epoch's record; what it raises ends the training.

    Raises:
        TrainingError: if the loss stops being a number, the device is out of memory, a run to be resumed was another, or
            something is to be selected and there are no validation rows.
    """
    try:
        return Trainer(name, parameters, data, seed=seed, run=run, quiet=quiet, after_epoch=after_epoch).train()
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{name}: {data.device} is out of memory ({error}). Lower {name}.train.batch_size (now "
            f"{parameters.train.batch_size}) or {name}.train.features_gb (features take {data.features.bytes / 1e9:.1f} GB), "
            f"or set {name}.train.device to 'cpu'."
        ) from error


class Trainer:
    """One training run: the model with its weights in training, schedule, generators and counters.

    ``judged`` is the model that is validated and kept: the average of the weights, where there is one.
    """

    def __init__(
        self,
        name: str,
        parameters: VariantParameters,
        data: TrainingData,
        *,
        seed: int,
        run: RunFolder,
        quiet: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> None:
        self.name = name
        self.quiet = quiet
        self.after_epoch = after_epoch
        self.parameters = parameters
        self.options = options = parameters.train
        check_selection(name, options, len(data.validation))
        self.data = data
        self.seed = seed
        self.run = run
        self.device = data.device
        self.bf16 = uses_bf16(options.precision, self.device)
        torch.manual_seed(seed)
        self.shuffler = torch.Generator().manual_seed(seed)
        self.model = prepare_model(parameters, data).to(self.device)
        self.weights = FlatWeights(self.model, options, bf16=self.bf16)
        self.judged = self.weights.averaged_model()
        self.feed = Feed(data.features, data.prices, data.train, data.device, data.window_products)
        self.schedule = Schedule(options, steps_per_epoch=self.feed.steps(options.batch_size))
        self._loss_sum = torch.zeros((), device=self.device)
        self._runner: tuple[LossName, StepRunner] | None = None
        self.progress = RunProgress()
        self.median_price = float(data.prices[data.train].median())

    def train(self) -> Trained:
        """Run the epochs that are left."""
        options, progress = self.options, self.progress
        kept = self._resume() if options.resume else None
        if kept is None:
            self.run.clear()
        if not self.quiet:
            show_parameter_counts(self.name, parameter_counts(self.model))
        saved = perf_counter()
        with TrainingProgress(self.name, options.epochs, progress.epoch, quiet=self.quiet) as shown:
            while not progress.is_over(options):
                record = self._run_epoch()
                best = progress.note(record)
                checkpoint = self._checkpoint(record)
                due = progress.is_over(options) or perf_counter() - saved >= options.state_every
                if kept is None or (best if options.keep == "best" else due):
                    kept = Checkpoint(checkpoint.header, _copied(checkpoint.weights))
                    self.run.save_kept(kept)
                if progress.epoch % options.checkpoint_every == 0:
                    self.run.save_periodic(checkpoint)
                self.run.save_history(progress.history)
                if due:
                    self._save_state(kept)
                    saved = perf_counter()
                shown.epoch(record, progress.best_smape, len(self.data.train))
                if self.after_epoch is not None:
                    self.after_epoch(record)
        assert kept is not None  # noqa: S101 - there is at least one epoch
        self._warn_if_nothing_was_learnt()
        return Trained(kept, progress.history)

    def _warn_if_nothing_was_learnt(self) -> None:
        """Say so if the best epoch is no better than one price for all."""
        if not len(self.data.validation):
            return
        true = self.data.prices[self.data.validation].cpu().numpy()
        constant = float(smape_per_product(np.full_like(true, self.median_price), true).mean())
        if self.progress.best_smape >= constant:
            logger.warning(
                "%s: nothing was learnt: validation SMAPE %.2f %% at best, where the median price for all scores %.2f %%. "
                "Change %s.train.learning_rate (now %g), or check that the sources belong to these products.",
                self.name,
                self.progress.best_smape,
                constant,
                self.name,
                self.options.learning_rate,
            )

    def _run_epoch(self) -> dict[str, Any]:
        """Train and validate for one epoch; the record for the history."""
        started = perf_counter()
        progress = self.progress
        epoch, learning_rate = progress.epoch + 1, self.schedule.rate(progress.step)
        loss = self._train_epoch(epoch)
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.name}: the loss became {loss} in epoch {epoch} (loss {self.options.loss_at(epoch)!r}, learning "
                f"rate {learning_rate:g}). Lower {self.name}.train.learning_rate or {self.name}.train.gradient_clip. The "
                f"checkpoint kept so far is {self.run.kept if progress.history else 'none'}."
            )
        metrics = self._validate() if len(self.data.validation) else {}
        self.schedule.epoch_ended(metrics.get("smape", math.inf))
        record = {"epoch": epoch, "loss": loss, **metrics, "learning_rate": learning_rate}
        record["seconds"] = perf_counter() - started
        return record

    def _train_epoch(self, epoch: int) -> float:
        """One pass over the train rows in random order; the mean loss. Only its end waits for the device."""
        self.weights.worker.train()
        self._loss_sum.zero_()
        for stretch in self.feed.epoch(self.shuffler):
            step = self._step_runner(stretch, self.options.loss_at(epoch))
            for rows in torch.split(stretch.order, self.options.batch_size):
                self.weights.set_rate(self.schedule.rate(self.progress.step))
                step(rows)
                self.progress.step += 1
        return float(self._loss_sum / len(self.data.train))

    def _step_runner(self, stretch: Stretch, loss: LossName) -> StepRunner:
        """What takes a training step on rows of a stretch. Features that stay share one recording between epochs."""
        whole = stretch.features is self.data.features
        if whole and self._runner is not None and self._runner[0] == loss:
            return self._runner[1]
        loss_function = LOSSES[loss]

        def step(rows: Tensor) -> None:
            batch = hide_sources(stretch.features.batch(rows), self.options.source_dropout)
            with autocast(self.device, self.bf16):
                log_prices = self.weights.worker(batch)
            value = loss_function(log_prices, stretch.prices[rows])
            self.weights.step(value)
            self._loss_sum.add_(value.detach(), alpha=len(rows))

        runner = StepRunner(step, self.options.batch_size, self.device, capture=whole and self.options.cuda_graph)
        if whole:
            self._runner = (loss, runner)
        return runner

    def _validate(self) -> dict[str, float]:
        data = self.data
        log_prices = score(self.judged, data.features, data.validation, bf16=self.bf16)
        predicted = to_prices(log_prices, floor=0.0, ceiling=PRICE_CEILING)
        return price_metrics(predicted, data.prices[data.validation].cpu().numpy())

    def _checkpoint(self, record: dict[str, Any]) -> Checkpoint:
        """The judged model as it is now; its weights are not copied."""
        header = checkpoint_header(
            self.name,
            self.parameters,
            self.data,
            median_price=self.median_price,
            epoch=record["epoch"],
            validation={key: record[key] for key in ("smape", "mae", "rmse", "r2") if key in record},
            counts=parameter_counts(self.model),
        )
        return Checkpoint(header, self.judged.state_dict())

    # --- what a continuation needs ---

    def _fingerprint(self) -> dict[str, Any]:
        return describe_run(self.parameters, self.seed, self.data.fingerprints, self.device, bf16=self.bf16)

    def _save_state(self, kept: Checkpoint) -> None:
        parts = {
            "weights": self.weights.state(),
            "schedule": self.schedule.state(),
            "progress": vars(self.progress),
            "shuffler": self.shuffler.get_state(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "kept": {"header": kept.header.model_dump_json(), "weights": kept.weights},
        }
        save_state(self.run.state, self._fingerprint(), parts)

    def _resume(self) -> Checkpoint | None:
        """Take over the last state; the checkpoint kept so far, or None where there is nothing to resume."""
        loaded = load_state(self.run.state, self.device)
        if loaded is None:
            return None
        fingerprint, parts = loaded
        check_fingerprint(self.name, self.run.state, fingerprint, self._fingerprint())
        self.weights.load(parts["weights"])
        self.schedule.load(parts["schedule"])
        vars(self.progress).update(parts["progress"])
        self.shuffler.set_state(parts["shuffler"].cpu())
        torch.set_rng_state(parts["random"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(parts["cuda_random"].cpu(), self.device)
        kept = parts["kept"]
        return Checkpoint(CheckpointHeader.model_validate_json(kept["header"]), kept["weights"])


def prepare_model(parameters: VariantParameters, data: TrainingData) -> PriceModel:
    """A fresh model that knows what train rows alone tell: structural scales, and the median log price to start at."""
    model = build_model(data.sources, parameters.model)
    model.fit_structural({name: values.cpu() for name, values in data.features.structural(data.train).items()})
    model.head.start_at(float(data.prices[data.train].log1p().median()))
    return model


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


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}
