"""Ensembles of the library, as a Kedro dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from price_fusion.data.roles import refuse_stale
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.recorded import FileRecord
from price_fusion.models.folds import MANIFEST
from price_fusion.storage.digests import digest_of

if TYPE_CHECKING:
    from price_fusion.prediction.ensemble import Ensemble, EnsembleDraft


class EnsembleDataset(FileRecord, AbstractDataset["EnsembleDraft", "Ensemble"]):
    """One folder with all models of an ensemble, its calibration and a manifest.

    Args:
        filepath: the folder.
        evaluated: of a final fit: ``{filepath: ...}`` of the ensemble that it repeats, as of ``CheckpointDataset``.
        metadata: for plugins.
    """

    is_model = True

    def __init__(
        self, *, filepath: str, evaluated: Mapping[str, str] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = local_path(filepath)
        self._evaluated = evaluated and local_path(evaluated["filepath"]) / MANIFEST
        self.metadata = metadata

    def load(self) -> Ensemble:
        """Open the ensemble and check its files."""
        from price_fusion.prediction.ensemble import load_ensemble

        with kedro_errors():
            ensemble = load_ensemble(self._filepath)
            if self._evaluated and self._evaluated.is_file():
                refuse_stale(ensemble, digest_of(self._evaluated))
            return ensemble

    def save(self, data: EnsembleDraft) -> None:
        """Replace the folder, whole or not at all."""
        from price_fusion.prediction.ensemble import save_ensemble

        with kedro_errors():
            save_ensemble(self._filepath, data)
            self._record()

    @property
    def origin_file(self) -> Path:
        """The manifest, which identifies the model."""
        return self.recorded_file

    @property
    def recorded_file(self) -> Path:
        """The manifest."""
        return self._filepath / MANIFEST

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
