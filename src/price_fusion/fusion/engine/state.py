"""Training states: all that a continuation needs, and the check that it continues the same run."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from price_fusion import __version__
from price_fusion.errors import TrainingError
from price_fusion.fusion.files import whole_file
from price_fusion.parameters import VariantParameters

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
FREE_TO_CHANGE = ("epochs", "early_stopping_patience", "checkpoint_every", "resume", "state_every", "cuda_graph")
"""Training parameters that a continuation may have otherwise: they say when to stop and what to write."""


def describe_run(
    parameters: VariantParameters, seed: int, data: dict[str, str], device: torch.device, *, bf16: bool
) -> dict[str, Any]:
    """What must be the same for a continuation to be one, as flat names and values."""
    configuration = parameters.model_dump(mode="json", exclude={"train": set(FREE_TO_CHANGE)})
    if parameters.train.schedule == "cosine":
        configuration["train"]["epochs"] = parameters.train.epochs  # they shape the schedule
    return {
        **_flattened(configuration),
        "seed": seed,
        **{f"data.{name}": digest for name, digest in data.items()},
        "price_fusion": __version__,
        "torch": torch.__version__,
        "device": device.type,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "bf16": bf16,
    }


def check_fingerprint(name: str, path: Path, saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Refuse to continue a run that was another.

    Raises:
        TrainingError: naming each difference.
    """
    differences = [
        f"  - {key}: was {saved.get(key)!r}, is {current.get(key)!r}"
        for key in sorted({*saved, *current})
        if saved.get(key) != current.get(key)
    ]
    if differences:
        listing = "\n".join(differences)
        raise TrainingError(
            f"{path} is the state of another run of {name!r}:\n{listing}\nSet these back to go on with it, or start afresh "
            f"with {name}.train.resume=false, which replaces that run's files."
        )


def save_state(path: Path, fingerprint: dict[str, Any], parts: dict[str, Any]) -> None:
    """Write a state; the file is whole or what it was before."""
    with whole_file(path) as temporary:
        torch.save(
            {"format_version": FORMAT_VERSION, "fingerprint": json.dumps(fingerprint), "parts": parts}, temporary
        )


def load_state(path: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read a state.

    Returns:
        fingerprint and parts, or None where there is no state.

    Raises:
        TrainingError: if the file is damaged or of another version.
    """
    if not path.exists():
        logger.warning("%s: no state to resume; training starts afresh", path)
        return None
    try:
        contents = torch.load(path, map_location=device, weights_only=True)
        version, fingerprint, parts = (contents[key] for key in ("format_version", "fingerprint", "parts"))
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path}: damaged state ({error}). Start afresh with resume=false.") from error
    if version != FORMAT_VERSION:
        raise TrainingError(f"{path}: state of format {version!r}, this program reads {FORMAT_VERSION}. Start afresh.")
    return json.loads(fingerprint), parts


def _flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flattened(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
