"""Checkpoints of the library, as a Kedro dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from price_fusion.data.roles import refuse_stale
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.recorded import FileRecord
from price_fusion.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, saved_digest


class CheckpointDataset(FileRecord, AbstractDataset[Checkpoint, Checkpoint]):
    """One safetensors file: weights, and a header that is enough to predict with them.

    Args:
        filepath: the file.
        evaluated: of a final fit: ``{filepath: ...}`` of the checkpoint whose training it repeats. If there is one, and
            another, the final fit is stale: it is not loaded, and counts as missing.
        metadata: for plugins.
    """

    is_model = True

    def __init__(
        self, *, filepath: str, evaluated: Mapping[str, str] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = local_path(filepath)
        self._evaluated = evaluated and local_path(evaluated["filepath"])
        self.metadata = metadata

    def load(self) -> Checkpoint:
        """Read header and weights, and check both."""
        with kedro_errors():
            checkpoint = load_checkpoint(self._filepath)
            if self._evaluated and self._evaluated.is_file():
                refuse_stale(checkpoint, saved_digest(self._evaluated))
            return checkpoint

    def save(self, data: Checkpoint) -> None:
        """Replace the file, whole or not at all."""
        with kedro_errors():
            save_checkpoint(self._filepath, data)
            self._record()

    @property
    def origin_file(self) -> Path:
        """The file, which identifies the model."""
        return self.recorded_file

    @property
    def recorded_file(self) -> Path:
        """The file."""
        return self._filepath

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
