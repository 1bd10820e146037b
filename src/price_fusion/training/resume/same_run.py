"""Whether a state is that of the run that would go on from it."""

from __future__ import annotations

import logging
import platform
from pathlib import Path
from typing import Any

import torch

from price_fusion.errors import TrainingError
from price_fusion.parameters import VariantParameters
from price_fusion.parameters.base import fields_of
from price_fusion.training.code_digest import code_digest
from price_fusion.version import __version__

logger = logging.getLogger(__name__)

FREE_TO_CHANGE = ("epochs", "early_stopping_patience", "checkpoint_every", "resume", "state_every", "cuda_graph")
"""Training parameters that a continuation may have otherwise: they say when to stop and what to write."""
_REASONS = {
    "train.epochs": " (the learning rate falls over all of them: with schedule 'cosine' they are part of the run)",
    "threads": " (of one process, OMP_NUM_THREADS sets their number)",
}


def describe_run(
    parameters: VariantParameters,
    seed: int,
    data: dict[str, str],
    device: torch.device,
    *,
    bf16: bool,
    processes: int = 1,
) -> dict[str, Any]:
    """What must be the same for a continuation to be one, as flat names and values."""
    configuration = parameters.model_dump(mode="json", exclude={"train": set(FREE_TO_CHANGE)})
    if parameters.train.schedule == "cosine":
        configuration["train"]["epochs"] = parameters.train.epochs  # they shape the schedule
    on_cpu = device.type == "cpu"
    return {
        **fields_of(configuration),
        "seed": seed,
        **{f"data.{name}": digest for name, digest in data.items()},
        "price_fusion": __version__,
        "code": code_digest(),
        "torch": torch.__version__,
        "device": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        if on_cpu
        else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads() if on_cpu else None,
        "bf16": bf16,
        "compute.training_processes": processes,
    }


def check_fingerprint(
    name: str, path: Path, saved: dict[str, Any], current: dict[str, Any], *, anyway: bool = False
) -> None:
    """Refuse to continue a run that was another, or, told to go on anyway, say what is.

    Raises:
        TrainingError: naming each difference.
    """
    differences = [
        f"  - {key}: was {saved.get(key)!r}, is {current.get(key)!r}{_REASONS.get(key, '')}"
        for key in sorted({*saved, *current})
        if saved.get(key) != current.get(key)
    ]
    if not differences:
        return
    listing = "\n".join(differences)
    if anyway:
        logger.warning("%s: going on with %s, which is the state of another run:\n%s", name, path, listing)
        return
    raise TrainingError(
        f"{path} is the state of another run of {name!r}:\n{listing}\nSet these back to go on with it as if it had never "
        f"stopped; go on all the same with {name}.train.resume=anyway; or start afresh with {name}.train.resume=false, "
        "which replaces that run's files."
    )
