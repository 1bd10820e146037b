"""The states of one training run: what is saved of it, and how it goes on from there."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from price_fusion.errors import TrainingError
from price_fusion.models.checkpoint import Checkpoint, CheckpointHeader
from price_fusion.training.judged import Judged
from price_fusion.training.loop import TrainingLoop
from price_fusion.training.resume.same_run import check_fingerprint
from price_fusion.training.resume.state import SaveClock, load_state, load_state_of, save_state, unfinished_epoch
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.step.schedules import Schedule

logger = logging.getLogger(__name__)


class RunStates:
    """Saves states of a run, and takes them over.

    Args:
        run: where they are.
        fingerprint: of the run, as ``describe_run`` gives it.
        loop: whose steps go on.
        judged: whose kept checkpoint goes with them.
    """

    def __init__(self, run: RunFolder, fingerprint: dict[str, Any], loop: TrainingLoop, judged: Judged) -> None:
        self.run, self.fingerprint, self.loop, self.judged = run, fingerprint, loop, judged
        self.clock = SaveClock(loop.options.state_every)

    def save(self) -> None:
        """Save the state after a step or an epoch; all ranks have a part in it.

        Raises:
            NotFiniteError: if a step was left out, so that there is nothing to go on from.
            StorageError: if it cannot be written.
        """
        began, loop, kept = perf_counter(), self.loop, self.judged.kept
        loop.weights.check()
        parts = {
            "weights": loop.weights.state(),
            "schedule": loop.schedule.state(),
            "progress": loop.progress.state(),
            "loss_sum": loop.loss_sum,
            "shuffler": loop.epoch_shuffler,
            "window": loop.feed.window,
            "random": torch.stack(loop.ranks.gathered(torch.get_rng_state())),
            "cuda_random": self._cuda_random(),
            "over": loop.progress.is_over(loop.options),
            "kept": kept and {"header": kept.header.model_dump_json(), "weights": kept.weights},
        }
        if loop.ranks.is_first:
            save_state(self.run.states, self.fingerprint, parts)
        self.clock.saved(perf_counter() - began)

    def resume(self) -> bool:
        """Take over the last state, as ``train.resume`` says; whether there is one.

        Raises:
            TrainingError: if it is of another run, damaged, or does not fit the model or the memory.
        """
        name, options, device = self.loop.name, self.loop.options, self.loop.data.device
        if options.resume == "if_same":
            loaded = load_state_of(self.fingerprint, self.run.states, device)
        else:
            loaded = load_state(self.run.states, device)
        if loaded is None:
            return False
        path, fingerprint, parts = loaded
        check_fingerprint(name, path, fingerprint, self.fingerprint, anyway=options.resume == "anyway")
        try:
            self._load(parts)
        except (RuntimeError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path}: does not fit the model of {name!r} ({error}). Start afresh with {name}.train.resume=false."
            ) from error
        logger.info(
            "%s: going on from %s: %d epochs done, %d products into the next",
            name,
            path,
            self.loop.progress.epoch,
            self.loop.progress.products,
        )
        return True

    def _load(self, parts: dict[str, Any]) -> None:
        """Take over the parts of a state."""
        loop, rank, kept = self.loop, self.loop.ranks.rank, parts["kept"]
        loop.weights.load(parts["weights"])
        self._go_on_with_windows_of(parts["window"])
        loop.schedule.load(parts["schedule"])
        loop.progress.load(parts["progress"])
        loop.resumed_step = loop.progress.step
        loop.loss_sum.copy_(parts["loss_sum"])
        loop.epoch_shuffler = parts["shuffler"].cpu()
        loop.shuffler.set_state(loop.epoch_shuffler)
        torch.set_rng_state(parts["random"][rank].cpu().clone())
        if loop.data.device.type == "cuda":
            torch.cuda.set_rng_state(parts["cuda_random"][rank].cpu().clone(), loop.data.device)
        if kept is not None:
            self.judged.kept = Checkpoint(CheckpointHeader.model_validate_json(kept["header"]), kept["weights"])

    def _cuda_random(self) -> Tensor | None:
        """States of the GPUs' generators, by rank."""
        device = self.loop.data.device
        if device.type != "cuda":
            return None
        return torch.stack(self.loop.ranks.gathered(torch.cuda.get_rng_state(device)))

    def _go_on_with_windows_of(self, products: int | None) -> None:
        """Read train rows in the windows that the run began with: others would repeat some rows and skip others.

        Raises:
            TrainingError: if all rows were in memory at once, and do not fit any more.
        """
        loop, name, now = self.loop, self.loop.name, self.loop.feed.window
        if products == now:
            return
        if products is None:
            raise TrainingError(
                f"{name}: the state is of a training that had the features of all products on the device; now {now:,} "
                f"products fit, and windows of these would come in another order. Free memory of {loop.data.device} or raise "
                f"{name}.train.features_gb, or start afresh with {name}.train.resume=false."
            )
        logger.warning(
            "%s: going on with windows of %s products, as the training began; by the memory that it is given now, it would "
            "have windows of %s. Only a fresh training takes those (%s.train.resume=false)",
            name,
            f"{products:,}",
            "all" if now is None else f"{now:,}",
            name,
        )
        loop.feed.window = products
        loop.schedule = Schedule(loop.options, loop.feed.steps(loop.options.batch_size))


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
