"""The models of a cross-validation on disk: one folder, a file or folder a model, and a manifest of those that are whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from price_fusion.errors import CheckpointError
from price_fusion.fusion.files import whole_file

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
NETWORK = "network"
"""Kind of the models of a variant; those of an estimator are of its kind."""
ADVICE = "Run the pipeline again; models that are whole are not trained again."


@dataclass(frozen=True)
class FoldModel:
    """One trained model of a cross-validation."""

    fold: int | None
    """Whose rows it has not seen; None: it has seen all that are not held out."""
    seed: int
    file: str
    """Checkpoint, or folder of an estimator, within the folder of all."""
    recipe: str
    """Digest of what decided the model."""
    seconds: float
    """That its training took."""


@dataclass(frozen=True)
class FoldModels:
    """All models of one cross-validation: of a variant or of an estimator."""

    name: str
    kind: str
    models: tuple[FoldModel, ...]
    path: Path = field(default=Path())
    complete: bool = True
    """Whether all models are trained."""
    failure: str | None = None
    """Why there are no models, where training failed and was allowed to."""

    def path_of(self, model: FoldModel) -> Path:
        """Where a model is."""
        return self.path / model.file

    @property
    def of_folds(self) -> tuple[FoldModel, ...]:
        """Models that have a fold of rows which they have not seen."""
        return tuple(model for model in self.models if model.fold is not None)

    @property
    def final(self) -> tuple[FoldModel, ...]:
        """Models that price new products: those of all rows, where there are any, and else those of the folds."""
        return tuple(model for model in self.models if model.fold is None) or self.models

    @property
    def seconds(self) -> float:
        """Training time of all models together."""
        return sum(model.seconds for model in self.models)


@dataclass(frozen=True)
class FoldFolder:
    """The folder in which a cross-validation keeps its models while it runs."""

    name: str
    path: Path

    @property
    def manifest(self) -> Path:
        """Written anew after each model."""
        return self.path / MANIFEST

    @property
    def is_complete(self) -> bool:
        """Whether all models are there."""
        try:
            self.read()
        except CheckpointError:
            return False
        return True

    def write(self, models: FoldModels) -> None:
        """Replace the manifest; once it is complete, remove what it does not name."""
        self.path.mkdir(parents=True, exist_ok=True)
        contents = {key: value for key, value in asdict(models).items() if key != "path"}
        with whole_file(self.manifest) as temporary:
            text = json.dumps({"format_version": FORMAT_VERSION, **contents}, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        if models.complete:
            named = {MANIFEST, *(model.file for model in models.models)}
            for path in self.path.iterdir():
                if path.name not in named:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def done(self) -> dict[tuple[int | None, int, str], FoldModel]:
        """Models that an earlier run has finished, by fold, seed and recipe."""
        try:
            found = self._read()
        except CheckpointError:
            return {}
        return {(one.fold, one.seed, one.recipe): one for one in found.models if found.path_of(one).exists()}

    def read(self) -> FoldModels:
        """All models.

        Raises:
            CheckpointError: if they are not all there, or the manifest is damaged or of another version.
        """
        found = self._read()
        missing = [model.file for model in found.models if not found.path_of(model).exists()]
        if missing or not found.complete:
            what = f"names {', '.join(missing)}, which are not there" if missing else "not all models are trained"
            raise CheckpointError(f"{self.manifest}: {what}. {ADVICE}")
        return found

    def _read(self) -> FoldModels:
        try:
            contents: dict[str, Any] = json.loads(self.manifest.read_text(encoding="utf-8"))
            version = contents.pop("format_version")
            if version != FORMAT_VERSION:
                raise CheckpointError(
                    f"{self.manifest}: format {version!r}, this program reads {FORMAT_VERSION}. {ADVICE}"
                )
            models = tuple(FoldModel(**model) for model in contents.pop("models"))
            return FoldModels(**contents, models=models, path=self.path)
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.manifest}: no models of cross-validation here. {ADVICE}") from error
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{self.manifest}: damaged manifest ({error}). {ADVICE}") from error
