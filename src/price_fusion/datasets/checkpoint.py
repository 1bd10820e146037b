"""Models that predict, as a Kedro dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from price_fusion.data.roles import refuse_stale
from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.saved_output import SavedOutput
from price_fusion.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from price_fusion.prediction.stale_final_fits import model_digest

if TYPE_CHECKING:
    from price_fusion.prediction.ensemble import Ensemble, EnsembleDraft

_SUFFIX = ".safetensors"


class CheckpointDataset(SavedOutput["Checkpoint | EnsembleDraft", "Checkpoint | Ensemble"]):
    """A model that predicts: the checkpoint of a variant, or an ensemble.

    A checkpoint is one safetensors file: weights, and a header that is enough to predict with them. An ensemble is a folder with
    its models, its calibration and a manifest; estimators that predict by themselves are ensembles of one member.

    Args:
        filepath: of the file, which ends in ``.safetensors``; any other path is that of the folder of an ensemble.
        evaluated: of a final fit: ``{filepath: ...}`` of the model whose training it repeats. If there is one, and another,
            the final fit is stale: it is not loaded, and counts as missing.
        metadata: for plugins.
    """

    is_model = True

    def __init__(
        self, *, filepath: str, evaluated: Mapping[str, str] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._evaluated = evaluated and local_path(evaluated["filepath"])

    @property
    def recorded_file(self) -> Path:
        """The checkpoint, or the manifest of the ensemble."""
        return self._identifying(self._filepath)

    @property
    def origin_file(self) -> Path:
        """The same, which identifies the model."""
        return self.recorded_file

    def _identifying(self, path: Path) -> Path:
        return path if path.suffix == _SUFFIX else path / self.manifest

    def _read(self, path: Path) -> Checkpoint | Ensemble:
        model: Checkpoint | Ensemble
        if path.suffix == _SUFFIX:
            model = load_checkpoint(path)
        else:
            from price_fusion.prediction.ensemble import load_ensemble  # imports all estimators

            model = load_ensemble(path)
        if self._evaluated and self._identifying(self._evaluated).is_file():
            refuse_stale(model, model_digest(self._evaluated))
        return model

    def _write(self, path: Path, data: Checkpoint | EnsembleDraft) -> None:
        if not isinstance(data, Checkpoint):
            from price_fusion.prediction.ensemble import save_ensemble

            save_ensemble(path, data)
        elif path.suffix == _SUFFIX:
            save_checkpoint(path, data)
        else:
            raise DatasetFileError(
                f"{path}: a path for the folder of an ensemble, but this model is a checkpoint. Let its filepath in the catalog "
                f"end in {_SUFFIX}."
            )
