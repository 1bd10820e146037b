"""Training a variant: epoch after epoch of the loop, each one validated, the best or last one kept."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NoReturn

import torch

from price_fusion.compute.interruption import Interruption, Listener, command_with, listening, say
from price_fusion.errors import TrainingError
from price_fusion.models.checkpoint import Checkpoint, save_checkpoint
from price_fusion.models.counts import parameter_counts
from price_fusion.models.device import uses_bf16
from price_fusion.parameters import VariantParameters
from price_fusion.training.auto import explained, resolved
from price_fusion.training.epoch_progress import TrainingProgress, show_parameter_counts
from price_fusion.training.initial_model import initial_model
from price_fusion.training.judged import Judged
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.loop import TrainingLoop
from price_fusion.training.ranks import Ranks
from price_fusion.training.resume.run_states import RunStates, make_way
from price_fusion.training.resume.same_run import describe_run
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.step.not_finite import BadBatchError
from price_fusion.training.training_run import Trained, check_selection

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
    """One training run: the loop, the model that is judged by it, and what is written. Arguments as of ``train_variant``."""

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
        self.name, self.data, self.run, self.after_epoch, self.ranks = name, data, run, after_epoch, ranks or Ranks()
        self.quiet = quiet = quiet or not self.ranks.is_first
        self.reason = explained(parameters.train, data.products)
        self.options = options = resolved(parameters.train, data.products)
        parameters = parameters.model_copy(update={"train": options})
        if self.ranks.is_first:
            check_selection(name, options, len(data.validation))
        bf16 = uses_bf16(options.precision, data.device)
        self.model = initial_model(parameters, data, seed, self.ranks)
        self.loop = TrainingLoop(name, self.model, options, data, seed=seed, bf16=bf16, ranks=self.ranks)
        self.judged = Judged(parameters, self.loop, seed)
        self.states: RunStates | None = None
        if run is not None:
            fingerprint = describe_run(
                parameters, seed, data.fingerprints, data.device, bf16=bf16, processes=self.ranks.size
            )
            self.states = RunStates(run, fingerprint, self.loop, self.judged)
        self._listener = Listener()
        self._shown = TrainingProgress(name, options.epochs, self.loop.feed.products, quiet=quiet)

    def train(self) -> Trained:
        """Run the epochs that are left."""
        options, progress = self.options, self.loop.progress
        resumed = self.states is not None and options.resume and self.states.resume()
        if self.run is not None and not resumed and self.ranks.is_first:
            make_way(self.name, self.run, keep_unfinished=options.resume != "if_same")
        if not self.quiet and self.data.epoch_products is None:  # a final fit has those of the training that it repeats
            show_parameter_counts(self.name, parameter_counts(self.model))
            if self.reason is not None:
                logger.info("%s: %s", self.name, self.reason)
        with self._shown.started(progress.epoch), listening() as self._listener:
            while not progress.is_over(options):
                record = self._run_epoch()
                self._keep(record, best=progress.note(record))
                self._shown.epoch(record, progress.best_smape)
                if self.after_epoch is not None:
                    self.after_epoch(record)
        kept = self.judged.kept
        assert kept is not None  # noqa: S101 - there is at least one epoch
        self._shown.kept(kept.header.epoch, kept.header.validation.get("smape"), is_best=options.keep == "best")
        self.judged.warn_if_nothing_was_learnt()
        return Trained(kept, progress.history)

    def _run_epoch(self) -> dict[str, Any]:
        """Train and validate for one epoch, or for what is left of one; the record for the history."""
        loop, progress = self.loop, self.loop.progress
        progress.epoch_began()
        epoch, learning_rate = progress.epoch + 1, loop.schedule.rate(progress.first_step)
        try:
            loss = loop.epoch(epoch, self._after_step)
        except BadBatchError as error:
            if self.run is not None and self.ranks.is_first:
                self.run.save_not_finite(asdict(error))
            raise error.error(self.name, self.options, self.run) from error
        metrics = self.judged.metrics(epoch)
        loop.schedule.epoch_ended(metrics.get("smape", math.inf))
        record = {"epoch": epoch, "loss": loss, **metrics, "learning_rate": learning_rate}
        if progress.micro_batch is not None:
            record["micro_batch"] = progress.micro_batch
        return record | {"seconds": progress.elapsed}

    def _after_step(self, products: int) -> None:
        """Show a batch of so many products, save the state if it is time, and stop if that was asked for."""
        self._shown.step(products, self.loop.progress.products)
        due = self.states is not None and self.states.clock.is_due(epoch_ended=False)
        asked, due_somewhere = self.ranks.largest(self._listener.asked or 0, due)
        if self.states is not None and (asked or due_somewhere):
            self.states.save()
        if asked:
            self._stop(signal.Signals(asked))

    def _stop(self, asked: signal.Signals) -> NoReturn:
        going_on = f"the state is in {self.run.state}" if self.run else "finished models are kept, this one is not"
        logger.warning(
            "%s: stopped by %s in epoch %d, after %d of its %d products; %s",
            self.name,
            asked.name,
            self.loop.progress.epoch + 1,
            self.loop.progress.products,
            self.loop.feed.products,
            going_on,
        )
        if self.ranks.size == 1:
            say(f"Go on with:\n{command_with(f'{self.name}.train.resume=true' if self.run else None)}")
        raise Interruption(asked)

    def _keep(self, record: dict[str, Any], *, best: bool) -> None:
        """Keep the checkpoint of an epoch that ended, if it is to be kept, and write what is due."""
        due = self.loop.progress.is_over(self.options) or self._is_save_due()
        checkpoint = self.judged.checkpoint(record)
        kept = self.judged.kept is None or (best if self.options.keep == "best" else due)
        if kept:
            self.judged.keep(checkpoint)
        if self.run is not None and self.ranks.is_first:
            self._write(self.run, checkpoint, kept=kept)
        if self.states is not None and due:
            self.states.save()

    def _is_save_due(self) -> bool:
        due = self.states is not None and self.states.clock.is_due(epoch_ended=True)
        return bool(self.ranks.largest(due)[0])

    def _write(self, run: RunFolder, checkpoint: Checkpoint, *, kept: bool) -> None:
        """Write what is due at the end of an epoch, but for the state."""
        if kept:
            save_checkpoint(run.kept, checkpoint)
        if self.loop.progress.epoch % self.options.checkpoint_every == 0:
            save_checkpoint(run.periodic(self.loop.progress.epoch), checkpoint)
        run.save_history(self.loop.progress.history)
