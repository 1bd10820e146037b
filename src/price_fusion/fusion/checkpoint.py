"""Checkpoints: weights with all that is needed to predict, in one safetensors file with a JSON header."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from price_fusion import __version__
from price_fusion.errors import CheckpointError
from price_fusion.fusion.files import whole_file
from price_fusion.fusion.intervals import Calibration
from price_fusion.parameters import ModelParameters, Source

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 2
HEADER_KEY = "price_fusion"
PRICE_FLOOR = 0.01
"""USD: nothing costs less than a cent."""
PRICE_CEILING = 1e6
"""USD: a prediction beyond it says that the model was given something unlike anything it has seen."""
LOWEST_LOG_PRICE, HIGHEST_LOG_PRICE = math.log1p(PRICE_FLOOR), math.log1p(PRICE_CEILING)
CALIBRATION = "calibration."
"""Start of the names of the tensors that are no weights, but what intervals need."""


class CheckpointHeader(BaseModel):
    """What a checkpoint says of its weights."""

    # R2 on rows of equal prices is NaN, and shall be read as it was written.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    format_version: int = FORMAT_VERSION
    package_version: str = __version__
    variant: str
    sources: dict[str, Source]
    """What the model fuses, in the order of its tokens."""
    dtypes: dict[str, str]
    """Type in which each source's embeddings were stored for training."""
    model: ModelParameters
    price_transform: Literal["log1p"] = "log1p"
    median_price: float
    """Median price of the train rows in USD: the prediction for a product that no source knows."""
    epoch: int
    validation: dict[str, float]
    """Metrics on the validation rows, which selected the epoch: not an honest estimate."""
    data: dict[str, str]
    """Fingerprints of the data it was trained on."""
    parameter_counts: dict[str, int] = {}
    """Trained parameters of each component and in total, as ``parameter_counts`` gives them."""


@dataclass(frozen=True)
class Checkpoint:
    """A header and the weights it describes."""

    header: CheckpointHeader
    weights: dict[str, Tensor]
    calibration: Calibration | None = None
    """Errors on rows that it was not fitted on, for intervals."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file is whole or absent."""
    import torch
    from safetensors.torch import save_file

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
    if checkpoint.calibration is not None:
        weights |= {
            f"{CALIBRATION}{name}": torch.from_numpy(values) for name, values in vars(checkpoint.calibration).items()
        }
    with whole_file(path) as temporary:
        save_file(weights, temporary, metadata={HEADER_KEY: checkpoint.header.model_dump_json()})


def read_header(path: Path) -> CheckpointHeader:
    """The header alone: no weights are read, torch is not imported.

    Raises:
        CheckpointError: if the file is missing, damaged, or not a checkpoint of this program's version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no checkpoint here. Train first: kedro run --pipelines train_<variant>."
        ) from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}). Train again.") from error
    return _parse_header(path, metadata)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: as ``read_header``.
    """
    header = read_header(path)
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged weights ({error}). Train again.") from error
    stored = {
        name.removeprefix(CALIBRATION): weights.pop(name).numpy()
        for name in list(weights)
        if name.startswith(CALIBRATION)
    }
    return Checkpoint(header, weights, Calibration(**stored) if stored else None)


def _parse_header(path: Path, metadata: dict[str, str]) -> CheckpointHeader:
    text = metadata.get(HEADER_KEY)
    if text is None:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of price-fusion (no header).")
    try:
        contents: Any = json.loads(text)
        if not isinstance(contents, dict):
            raise CheckpointError(f"{path}: damaged header (a {type(contents).__name__}, not an object). Train again.")
        version = contents.get("format_version")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path}: checkpoint format {version!r}, written by price-fusion {contents.get('package_version')!r}; "
                f"this is {__version__}, which reads format {FORMAT_VERSION}. Train again, or use that version."
            )
        return CheckpointHeader.model_validate(contents)
    except (json.JSONDecodeError, ValidationError) as error:
        raise CheckpointError(f"{path}: damaged header ({error}). Train again.") from error
