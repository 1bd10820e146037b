"""The training loop."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain, islice
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from price_fusion.compute.interruption import Interruption, Listener, command_with, listening, say
from price_fusion.errors import TrainingError
from price_fusion.metrics.price_metrics import price_metrics, smape_per_product
from price_fusion.models.build import PriceModel, build_model
from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader, TrainingRecord
from price_fusion.models.counts import parameter_counts
from price_fusion.models.device import uses_bf16
from price_fusion.models.scoring import score, to_prices
from price_fusion.parameters import VariantParameters
from price_fusion.training.auto import explained, resolved
from price_fusion.training.epoch_progress import TrainingProgress, show_parameter_counts
from price_fusion.training.loader.feed import Feed, Stretch, TrainFeed
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.processes.ranks import Ranks
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.state import (
    SaveClock,
    check_fingerprint,
    describe_run,
    load_state,
    load_state_of,
    save_state,
    unfinished_epoch,
)
from price_fusion.training.step.not_finite import BadBatch
from price_fusion.training.step.schedules import Schedule, plateau_epochs
from price_fusion.training.step.steps import Steps
from price_fusion.training.step.weights import FlatWeights, NotFiniteError
from price_fusion.training.training_run import (
    RunProgress,
    Trained,
    check_judged,
    check_selection,
    checkpoint_header,
)

logger = logging.getLogger(__name__)

AfterEpoch = Callable[[dict[str, Any]], None]


def train_variant(
    name: str,
    parameters: VariantParameters,
    data: TrainingData,
    *,
    seed: int,
    run: RunFolder | None,
    quiet: bool = False,
    after_epoch: AfterEpoch | None = None,
    ranks: Ranks | None = None,
) -> Trained:
    """Train a variant until early stopping or the last epoch.

    Args:
        name: of the variant.
        parameters: its composition and training.
        data: features, prices and rows.
        seed: of the weights, of dropout and of the order of the rows.
        run: folder that takes checkpoints, state and history while training runs; None: nothing is written, and nothing
            can be resumed.
        quiet: leave the table of parameters and the lines per epoch out: for one run of many.
        after_epoch: called with each epoch's record; what it raises ends the training.
        ranks: who trains; the first of them validates and writes, and must be given the rows for it. None: this process.

    Raises:
        TrainingError: if a loss or gradient stops being a number, the device is out of memory, a run to be resumed was
            another, or something is to be selected and there are no validation rows.
        StorageError: if the run folder cannot be written.
        Interruption: if a signal asked to stop; the state is saved then.
    """
    try:
        return Trainer(
            name, parameters, data, seed=seed, run=run, quiet=quiet, after_epoch=after_epoch, ranks=ranks
        ).train()
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{name}: {data.device} is out of memory ({error}). Lower {name}.train.batch_size (now "
            f"{resolved(parameters.train, data.products).batch_size}) or {name}.train.features_gb (features take {data.features.bytes / 1e9:.1f} GB), "
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
        run: RunFolder | None,
        quiet: bool = False,
        after_epoch: AfterEpoch | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.name = name
        self.ranks = ranks or Ranks()
        self.quiet = quiet = quiet or not self.ranks.is_first
        self.after_epoch = after_epoch
        self.reason = explained(parameters.train, data.products)
        self.options = options = resolved(parameters.train, data.products)
        self.parameters = parameters = parameters.model_copy(update={"train": options})
        if self.ranks.is_first:
            check_selection(name, options, len(data.validation))
        self.data = data
        self.seed = seed
        self.run = run
        self.device = data.device
        self.bf16 = uses_bf16(options.precision, self.device)
        torch.manual_seed(seed)
        self.shuffler = torch.Generator().manual_seed(seed)
        self.model = self._prepared_model().to(self.device)
        self.weights = FlatWeights(self.model, options, bf16=self.bf16)
        self.judged = self.weights.averaged_model()
        self.feed: TrainFeed = data.feed or Feed(
            data.features, data.prices, data.train, data.device, data.window_products, data.epoch_products
        )
        self.schedule = self._new_schedule()
        self.progress = RunProgress()
        self.steps = Steps(name, self.weights, options, data.features, self.progress, bf16=self.bf16, ranks=self.ranks)
        self.kept: Checkpoint | None = None
        self.clock = SaveClock(options.state_every)
        self._epoch_shuffler = self.shuffler.get_state()
        self._resumed_step = 0
        self._started = perf_counter()
        self._listener = Listener()
        self._shown = TrainingProgress(name, options.epochs, self.feed.products, quiet=quiet)
        self.median_price = self.ranks.from_first(lambda: float(data.prices[data.train].median()) * data.unit)
        self.price_scale = self.ranks.from_first(lambda: data.price_scale(data.train))

    def train(self) -> Trained:
        """Run the epochs that are left."""
        options, progress = self.options, self.progress
        resumed = self.run is not None and options.resume and self._resume(self.run)
        if self.run is not None and not resumed and self.ranks.is_first:
            make_way(self.name, self.run, keep_unfinished=options.resume != "if_same")
        if not self.quiet and self.data.epoch_products is None:  # a final fit has those of the training that it repeats
            show_parameter_counts(self.name, parameter_counts(self.model))
            if self.reason is not None:
                logger.info("%s: %s", self.name, self.reason)
        with (
            self._shown.started(progress.epoch),
            listening() as self._listener,
        ):
            while not progress.is_over(options):
                record = self._run_epoch()
                self._keep(record, best=progress.note(record))
                self._shown.epoch(record, progress.best_smape)
                if self.after_epoch is not None:
                    self.after_epoch(record)
        assert self.kept is not None  # noqa: S101 - there is at least one epoch
        kept = self.kept.header
        self._shown.kept(kept.epoch, kept.validation.get("smape"), is_best=options.keep == "best")
        self._warn_if_nothing_was_learnt()
        return Trained(self.kept, progress.history)

    def _new_schedule(self) -> Schedule:
        return Schedule(self.options, steps_per_epoch=self.feed.steps(self.options.batch_size))

    def _prepared_model(self) -> PriceModel:
        """The model at its start, the same for all ranks; from here on each draws random numbers of its own."""
        if self.ranks.size == 1:
            return prepare_model(self.parameters, self.data)
        model = build_model(self.data.sources, self.parameters.model)
        start = self.ranks.from_first(lambda: prepare_model(self.parameters, self.data, model).state_dict())
        model.load_state_dict(start)
        torch.manual_seed(self.seed + self.ranks.rank)
        return model

    def _keep(self, record: dict[str, Any], *, best: bool) -> None:
        """Keep the checkpoint of an epoch that ended, if it is to be kept, and write what is due."""
        options, progress = self.options, self.progress
        due = progress.is_over(options) or (self.run is not None and self._is_save_due())
        checkpoint = self._checkpoint(record)
        kept = self.kept is None or (best if options.keep == "best" else due)
        if kept:
            self.kept = Checkpoint(checkpoint.header, _copied(checkpoint.weights))
        if self.run is None:
            return
        if self.ranks.is_first:
            self._write(self.run, checkpoint, kept=kept)
        if due:
            self._save_state(self.run)

    def _write(self, run: RunFolder, checkpoint: Checkpoint, *, kept: bool) -> None:
        """Write what is due at the end of an epoch, but for the state."""
        if kept:
            run.save_kept(checkpoint)
        if self.progress.epoch % self.options.checkpoint_every == 0:
            run.save_periodic(checkpoint)
        run.save_history(self.progress.history)

    def _is_save_due(self) -> bool:
        return bool(self.ranks.largest(self.clock.is_due(epoch_ended=True))[0])

    def _warn_if_nothing_was_learnt(self) -> None:
        """Say so if the best epoch is no better than one price for all."""
        if not len(self.data.validation):
            return
        true = self.data.prices[self.data.validation].cpu().numpy() * self.data.unit
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
        """Train and validate for one epoch, or for what is left of one; the record for the history."""
        self._started = perf_counter()
        progress = self.progress
        epoch, learning_rate = progress.epoch + 1, self.schedule.rate(progress.first_step)
        loss = self._train_epoch(epoch)
        judged = self.weights.values if self.weights.average is None else self.weights.average
        check_judged(self.name, self.options, judged, epoch)
        metrics = self.ranks.from_first(lambda: self._validate(epoch) if len(self.data.validation) else {})
        self.schedule.epoch_ended(metrics.get("smape", math.inf))
        record = {"epoch": epoch, "loss": loss, **metrics, "learning_rate": learning_rate}
        if progress.micro_batch is not None:
            record["micro_batch"] = progress.micro_batch
        record["seconds"] = progress.seconds + perf_counter() - self._started
        self._epoch_shuffler = self.shuffler.get_state()
        self.steps.loss_sum.zero_()
        return record

    def _train_epoch(self, epoch: int) -> float:
        """One pass over the train rows in random order; the mean loss. Only its end waits for the device."""
        self.weights.worker.train()
        progress, loss = self.progress, self.options.loss_at(epoch)
        for stretch in self.feed.epoch(self.shuffler, progress.products):
            first = progress.step
            try:
                for rows, products in stretch.batches(self.options.batch_size):
                    self.weights.set_rate(self.schedule.rate(progress.step))
                    self.steps.take(stretch, loss, rows)
                    progress.step += 1
                    progress.products += products
                    self._shown.step(products, progress.products)
                    self._between_steps()
                self.weights.check()
            except NotFiniteError as error:
                raise self._not_finite(error, stretch, first, epoch) from error
        return float(self.steps.loss_sum / self.feed.products)

    def _between_steps(self) -> None:
        """Save the state if it is time, and stop if that was asked for."""
        number, due = self.ranks.largest(self._listener.asked or 0, self.clock.is_due(epoch_ended=False))
        asked = signal.Signals(number) if number else None
        if self.run is not None and (asked or due):
            self.weights.check()
            self._save_state(self.run)
        if asked is None:
            return
        going_on = f"the state is in {self.run.state}" if self.run else "finished models are kept, this one is not"
        logger.warning(
            "%s: stopped by %s in epoch %d, after %d of its %d products; %s",
            self.name,
            asked.name,
            self.progress.epoch + 1,
            self.progress.products,
            self.feed.products,
            going_on,
        )
        if self.ranks.size == 1:
            say(f"Go on with:\n{command_with(f'{self.name}.train.resume=true' if self.run else None)}")
        raise Interruption(asked)

    def _not_finite(self, error: NotFiniteError, stretch: Stretch, first: int, epoch: int) -> TrainingError:
        """What to say of a loss or gradient that is NaN or infinite; ``first`` is the step of the stretch's first batch."""
        step = self.progress.step if error.step is None else self._resumed_step + error.step
        rows, _ = next(islice(stretch.batches(self.options.batch_size), step - first, None))
        ids = list(chain.from_iterable(self.ranks.gathered(self._ids(stretch, rows.cpu()))))
        batch = BadBatch(epoch, step, error.loss, self.schedule.rate(step), ids)
        if self.run is not None and self.ranks.is_first:
            self.run.save_not_finite(asdict(batch))
        return batch.error(self.name, self.options, self.run)

    def _ids(self, stretch: Stretch, rows: Tensor) -> list[Any]:
        """Of the products at these rows of a stretch; row numbers where they have none."""
        if stretch.ids is not None:
            return list(stretch.ids[rows.numpy()].tolist())
        products = (rows if stretch.products is None else stretch.products.cpu()[rows]).numpy()
        return list((products if self.data.ids is None else self.data.ids[products]).tolist())

    def _validate(self, epoch: int) -> dict[str, float]:
        data = self.data
        log_prices = score(self.judged, data.features, data.validation, bf16=self.bf16)
        check_judged(self.name, self.options, log_prices, epoch)
        predicted = to_prices(log_prices, self.price_scale)
        return price_metrics(predicted, data.prices[data.validation].cpu().numpy() * data.unit)

    def _checkpoint(self, record: dict[str, Any]) -> Checkpoint:
        """The judged model as it is now; its weights are not copied."""
        header = checkpoint_header(
            self.name,
            self.parameters,
            self.data,
            price_scale=self.price_scale,
            median_price=self.median_price,
            epoch=record["epoch"],
            training=self._record(),
            validation={key: record[key] for key in ("smape", "mae", "rmse", "r2") if key in record},
            counts=parameter_counts(self.model),
        )
        return Checkpoint(header, self.judged.state_dict())

    def _record(self) -> TrainingRecord:
        """The way to the weights as they are now."""
        progress = self.progress
        return TrainingRecord(
            rows=self.feed.rows,
            epoch_rows=self.feed.products,
            steps=progress.step,
            seed=self.seed,
            plateau_epochs=plateau_epochs(self.options, [one.get("smape", math.inf) for one in progress.history]),
        )

    # --- what a continuation needs ---

    def _fingerprint(self) -> dict[str, Any]:
        return describe_run(
            self.parameters,
            self.seed,
            self.data.fingerprints,
            self.device,
            bf16=self.bf16,
            processes=self.ranks.size,
        )

    def _save_state(self, run: RunFolder) -> None:
        began = perf_counter()
        progress, kept = vars(self.progress), self.kept
        if self.progress.products:
            progress = progress | {"seconds": self.progress.seconds + began - self._started}
        parts = {
            "weights": self.weights.state(),
            "schedule": self.schedule.state(),
            "progress": progress,
            "loss_sum": self.steps.loss_sum,
            "shuffler": self._epoch_shuffler,
            "window": self.feed.window,
            "random": torch.stack(self.ranks.gathered(torch.get_rng_state())),
            "cuda_random": self._cuda_random(),
            "over": self.progress.is_over(self.options),
            "kept": kept and {"header": kept.header.model_dump_json(), "weights": kept.weights},
        }
        if self.ranks.is_first:
            save_state(run.states, self._fingerprint(), parts)
        self.clock.saved(perf_counter() - began)

    def _cuda_random(self) -> Tensor | None:
        """States of the GPUs' generators, by rank."""
        if self.device.type != "cuda":
            return None
        return torch.stack(self.ranks.gathered(torch.cuda.get_rng_state(self.device)))

    def _resume(self, run: RunFolder) -> bool:
        """Take over the last state, if there is one."""
        current = self._fingerprint()
        if self.options.resume == "if_same":
            loaded = load_state_of(current, run.states, self.device)
        else:
            loaded = load_state(run.states, self.device)
        if loaded is None:
            return False
        path, fingerprint, parts = loaded
        check_fingerprint(self.name, path, fingerprint, current, anyway=self.options.resume == "anyway")
        try:
            self._load(parts)
        except (RuntimeError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path}: does not fit the model of {self.name!r} ({error}). Start afresh with {self.name}.train.resume=false."
            ) from error
        logger.info(
            "%s: going on from %s: %d epochs done, %d products into the next",
            self.name,
            path,
            self.progress.epoch,
            self.progress.products,
        )
        return True

    def _load(self, parts: dict[str, Any]) -> None:
        """Take over the parts of a state."""
        self.weights.load(parts["weights"])
        self._go_on_with_windows_of(parts["window"])
        self.schedule.load(parts["schedule"])
        vars(self.progress).update(parts["progress"])
        self._resumed_step = self.progress.step
        self.steps.loss_sum.copy_(parts["loss_sum"])
        self._epoch_shuffler = parts["shuffler"].cpu()
        self.shuffler.set_state(self._epoch_shuffler)
        torch.set_rng_state(parts["random"][self.ranks.rank].cpu().clone())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(parts["cuda_random"][self.ranks.rank].cpu().clone(), self.device)
        kept = parts["kept"]
        if kept is not None:
            self.kept = Checkpoint(CheckpointHeader.model_validate_json(kept["header"]), kept["weights"])

    def _go_on_with_windows_of(self, products: int | None) -> None:
        """Read train rows in the windows that the run began with: others would repeat some rows and skip others.

        Raises:
            TrainingError: if all rows were in memory at once, and do not fit any more.
        """
        now = self.feed.window
        if products == now:
            return
        if products is None:
            raise TrainingError(
                f"{self.name}: the state is of a training that had the features of all products on the device; now {now:,} "
                f"products fit, and windows of these would come in another order. Free memory of {self.device} or raise "
                f"{self.name}.train.features_gb, or start afresh with {self.name}.train.resume=false."
            )
        logger.warning(
            "%s: going on with windows of %s products, as the training began; by the memory that it is given now, it would "
            "have windows of %s. Only a fresh training takes those (%s.train.resume=false)",
            self.name,
            f"{products:,}",
            "all" if now is None else f"{now:,}",
            self.name,
        )
        self.feed.window = products
        self.schedule = self._new_schedule()


def make_way(name: str, run: RunFolder, *, keep_unfinished: bool = True) -> None:
    """Make room for a fresh training.

    Args:
        name: of the variant.
        run: the folder.
        keep_unfinished: keep what an unfinished training needs to go on.
    """
    epoch = unfinished_epoch(run.states) if keep_unfinished else None
    if epoch is not None:
        run.set_aside()
        logger.warning(
            "%s: an unfinished training, stopped in epoch %d, is set aside for a fresh one. Its state is kept as %s; to go on "
            "with it after all, name it %s again and run with %s.train.resume=true",
            name,
            epoch,
            run.unfinished,
            run.state.name,
            name,
        )
    run.clear()


def prepare_model(parameters: VariantParameters, data: TrainingData, model: PriceModel | None = None) -> PriceModel:
    """A fresh model that knows what train rows alone tell: structural scales, and the median log price to start at.

    Args:
        parameters: its composition.
        data: whose train rows.
        model: of that composition; None: a new one.
    """
    model = model or build_model(data.sources, parameters.model)
    model.fit_structural({name: values.cpu() for name, values in data.features.structural(data.train).items()})
    model.head.start_at(float(data.prices[data.train].log1p().median()))
    return model


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}
