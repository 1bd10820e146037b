"""Checkpoints: weights with all that is needed to predict, in one safetensors file with a JSON header.

The file is plain safetensors, with the header as its one entry of metadata. To the fields of ``CheckpointHeader`` it adds
``tensors_sha256``, the digest of all tensors by name, and the seal of its own contents: safetensors itself notices neither
another bit in a weight nor one in the header.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open

from price_fusion.errors import CheckpointError
from price_fusion.metrics.intervals import Calibration
from price_fusion.metrics.price_scale import BEFORE, PriceScale
from price_fusion.parameters import ModelParameters, Source, TrainParameters
from price_fusion.storage.digests import SHOWN
from price_fusion.storage.files import write_whole
from price_fusion.storage.manifests import ManifestKind
from price_fusion.storage.obstacles import closed_to_us, unreadable_by_us
from price_fusion.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 3
HEADER_KEY = "price_fusion"
TENSORS_DIGEST = "tensors_sha256"
ADVICE = "Train again (kedro run --pipelines train_<variant>), or bring the file back from a copy."
HEADER = ManifestKind("checkpoint", HEADER_KEY, FORMAT_VERSION, CheckpointError, ADVICE, ADVICE, noun="header")
DOLLARS = "USD"
"""The currency of files that name none."""
CALIBRATION = "calibration."
"""Start of the names of the tensors that are no weights, but what intervals need."""


class TrainingRecord(BaseModel):
    """What the weights were fitted on, and the way to them: what a final fit repeats."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    """Labelled rows that it was fitted on."""
    epoch_rows: int
    """Rows of an epoch: all of ``rows``, or as many as an epoch of the training had that a final fit repeats."""
    steps: int
    """Of the optimizer, up to the weights that were kept."""
    seed: int
    plateau_epochs: tuple[int, ...] = ()
    """Epochs after which the learning rate dropped."""


class CheckpointHeader(BaseModel):
    """What a checkpoint says of its weights."""

    # R2 on rows of equal prices is NaN, and shall be read as it was written.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    package_version: str = __version__
    variant: str
    sources: dict[str, Source]
    """What the model fuses, in the order of its tokens."""
    dtypes: dict[str, str]
    """Type in which each source's embeddings were stored for training."""
    model: ModelParameters
    train: TrainParameters | None = None
    """How it was trained; fields without effect on the weights are left at their defaults."""
    price_transform: Literal["log1p"] = "log1p"
    price_scale: PriceScale = BEFORE
    """Unit of the log prices, and range of the prices."""
    currency: str = DOLLARS
    """Of the prices; files written before currencies were noted are in USD."""
    median_price: float
    """Median price of the train rows: the prediction for a product that no source knows."""
    epoch: int
    training: TrainingRecord | None = None
    """None: written before final fits existed, which need it."""
    validation: dict[str, float]
    """Metrics on the validation rows, which selected the epoch: not an honest estimate. None of a final fit."""
    data: dict[str, str]
    """Fingerprints of the data it was trained on; of a final fit also of the evaluated model (``roles.EVALUATED``)."""
    calibration_rows: int | None = None
    """Rows that there were to calibrate intervals on, noted where they were too few."""
    parameter_counts: dict[str, int] = {}
    """Trained parameters of each component and in total, as ``parameter_counts`` gives them."""


@dataclass(frozen=True)
class Checkpoint:
    """A header and the weights it describes."""

    header: CheckpointHeader
    weights: dict[str, Tensor]
    calibration: Calibration | None = None
    """Errors on rows that it was not fitted on, for intervals."""

    @property
    def name(self) -> str:
        """Of the variant."""
        return self.header.variant

    @property
    def data(self) -> dict[str, str]:
        """Fingerprints of the data it was trained on."""
        return self.header.data

    @property
    def median_price(self) -> float:
        """Of its train rows, in currency units."""
        return self.header.median_price

    @property
    def currency(self) -> str:
        """Of the prices."""
        return self.header.currency

    def in_currency(self, currency: str) -> Checkpoint:
        """The same, of prices in that currency."""
        return replace(self, header=self.header.model_copy(update={"currency": currency}))

    def with_intervals_of(self, evaluated: Checkpoint) -> Checkpoint:
        """The same, calibrated as another is, or not at all as that is not."""
        header = self.header.model_copy(update={"calibration_rows": evaluated.header.calibration_rows})
        return replace(self, header=header, calibration=evaluated.calibration)

    @property
    def rows(self) -> int | None:
        """Labelled rows that it was fitted on; None where its version did not note them."""
        training = self.header.training
        return None if training is None else training.rows


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file is whole or absent.

    Raises:
        StorageError: if it cannot be written.
    """
    write_whole(path, checkpoint_bytes(checkpoint))


def checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as the contents of a file; the same checkpoint is the same bytes."""
    from safetensors.torch import save

    weights = _tensors(checkpoint)
    header = json.loads(checkpoint.header.model_dump_json()) | {TENSORS_DIGEST: tensors_digest(weights)}
    # One entry of metadata: several would come in any order, and the same checkpoint would not be the same bytes.
    contents: bytes = save(weights, metadata={HEADER_KEY: HEADER.text(header, indent=None)})
    return contents


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    """Hexadecimal sha256 of weights and calibration: what ``saved_digest`` reads in its file."""
    return tensors_digest(_tensors(checkpoint))


def saved_digest(path: Path) -> str:
    """``checkpoint_digest`` of a checkpoint on disk, as its header says: no weights are read, torch is not imported.

    Raises:
        CheckpointError: as ``read_header``.
    """
    return _read_header(path)[1]


def checkpoint_of(contents: bytes) -> Checkpoint:
    """The checkpoint that ``checkpoint_bytes`` made bytes of: for workers that do not see its file.

    Raises:
        CheckpointError: as ``load_checkpoint``.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        path.write_bytes(contents)
        return load_checkpoint(path)


def read_header(path: Path) -> CheckpointHeader:
    """The header alone, checked against its digest: no weights are read, torch is not imported.

    Raises:
        CheckpointError: if the file is missing, the header damaged, or not of a checkpoint of this program's version.
    """
    return _read_header(path)[0]


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; header and tensors are checked against their digests.

    Raises:
        CheckpointError: as ``read_header``, and if a tensor is damaged.
    """
    header, expected = _read_header(path)
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged weights ({error}). {ADVICE}") from error
    found = tensors_digest(weights)
    if found != expected:
        raise CheckpointError(
            f"{path}: damaged weights (their sha256 is {found[:SHOWN]}, expected {expected[:SHOWN]} as the header says). "
            f"{ADVICE}"
        )
    stored = {
        name.removeprefix(CALIBRATION): weights.pop(name).numpy()
        for name in list(weights)
        if name.startswith(CALIBRATION)
    }
    return Checkpoint(header, weights, Calibration(**stored) if stored else None)


def _tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Weights and calibration as they are saved."""
    import torch

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
    if checkpoint.calibration is not None:
        errors = vars(checkpoint.calibration).items()
        tensors |= {f"{CALIBRATION}{name}": torch.from_numpy(values) for name, values in errors}
    return tensors


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hexadecimal sha256 of names, types, shapes and values of tensors in memory, whatever their order."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_header(path: Path) -> tuple[CheckpointHeader, str]:
    """The header, and the digest of the tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        # safetensors says so of what it may not read, too; Path.exists raises where a folder on the way is closed.
        if closed_to_us(path) or os.path.exists(path):  # noqa: PTH110
            raise CheckpointError(f"{path}: {unreadable_by_us(path)}") from error
        raise CheckpointError(
            f"{path}: no checkpoint here. Train first: kedro run --pipelines train_<variant>."
        ) from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}). {ADVICE}") from error
    text = metadata.get(HEADER_KEY)
    if text is None:
        raise CheckpointError(
            f"{path}: a safetensors file, but not a checkpoint of price-fusion (no header): another program's, or damaged. {ADVICE}"
        )
    return _parsed_header(path, text)


def _parsed_header(path: Path, text: str) -> tuple[CheckpointHeader, str]:
    def build(fields: dict[str, Any]) -> tuple[CheckpointHeader, str]:
        digest = str(fields.pop(TENSORS_DIGEST, "none"))
        if fields.get("train"):
            fields["train"].setdefault("ema_ramp", False)  # trained before averages had a ramp
        return CheckpointHeader.model_validate(fields), digest

    return HEADER.parsed(text, path, build)
