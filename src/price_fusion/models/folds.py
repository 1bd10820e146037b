"""The models of a cross-validation on disk: one folder, a file or folder a model, and a manifest of those that are whole.

Several purposes share a folder: an ensemble trains the same fold models as a cross-validation of its member, more seeds of
them, and models of all rows. The manifest says which models the latest purpose is made of, and names the others that are
there. A model stays until another takes its file (the same fold and seed by a newer recipe), or until a cross-validation of
other data is complete: what was made of the data before is of no use to anyone then. So the folder holds at most one model
for each fold and seed that was asked for on the current data.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from price_fusion.errors import CheckpointError
from price_fusion.storage.digests import digests_below, first_problem
from price_fusion.storage.files import write_whole
from price_fusion.storage.manifests import ManifestKind

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
FOLDS = "folds"
"""In the folder of a model."""
NETWORK = "network"
"""Kind of the models of a variant; those of an estimator are of its kind."""
ADVICE = "Run the pipeline again; models that are whole are not trained again."
KIND = ManifestKind("models of cross-validation", MANIFEST, FORMAT_VERSION, CheckpointError, ADVICE, ADVICE)
_OF_MODELS = re.compile(r"\.?(fold-|all-rows).*")
"""Names that models and their temporaries have; other files in the folder are not ours to remove."""


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
    data: str
    """Digest of the data, which is part of the recipe."""
    seconds: float
    """That its training took."""
    sha256: Mapping[str, str]
    """Of its file, or of each file of its folder, by path within the folder of all."""


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

    def checked(self, model: FoldModel) -> Path:
        """Where a model is, once its files are known to be whole.

        Raises:
            CheckpointError: naming a file that is missing or damaged.
        """
        KIND.check(self.path, model.sha256)
        return self.path_of(model)

    @property
    def of_folds(self) -> tuple[FoldModel, ...]:
        """Models that have a fold of rows which they have not seen."""
        return tuple(model for model in self.models if model.fold is not None)

    @property
    def final(self) -> tuple[FoldModel, ...]:
        """Models that predict new products: those of all rows, where there are any, and else those of the folds."""
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
        """Whether all models are there, and whole."""
        try:
            self.read()
        except CheckpointError:
            return False
        return True

    def digests(self, file: str) -> dict[str, str]:
        """sha256 of a model's file, or of each file of its folder, by path within the folder of all."""
        return digests_below(self.path / file, self.path)

    def write(self, models: FoldModels, *, replacing: Collection[str] = ()) -> None:
        """Replace the manifest; once it is complete, remove models that are of no use any more.

        Args:
            models: of the latest purpose.
            replacing: files of models that are about to be written anew: nothing is known of them until they are.

        Raises:
            StorageError: if it cannot be written.
        """
        taken = {*replacing, *(model.file for model in models.models)}
        data = {model.data for model in models.models} if models.complete else set()
        others = [one for one in self._known() if one.file not in taken and (not data or one.data in data)]
        contents = {key: value for key, value in asdict(models).items() if key != "path"}
        write_whole(self.manifest, KIND.document({**contents, "others": [asdict(other) for other in others]}))
        if models.complete:
            self._remove_all_but({*taken, *(other.file for other in others)})

    def done(self) -> dict[tuple[int | None, int, str], FoldModel]:
        """Models that an earlier run has finished, of any purpose, by fold, seed and recipe.

        Warnings name those that are missing or damaged; they count as not trained.
        """
        whole = {}
        for model in self._known(warn=True):
            if problem := first_problem(self.path, model.sha256):
                logger.warning("%s: %s, going by %s: if it is needed, it is trained again", *problem, MANIFEST)
            else:
                whole[model.fold, model.seed, model.recipe] = model
        return whole

    def read(self) -> FoldModels:
        """All models of the latest purpose.

        Raises:
            CheckpointError: if they are not all there and whole, or the manifest is damaged or of another version.
            StorageError: if it may not be read.
        """
        found, _ = self._read()
        if not found.complete:
            raise CheckpointError(f"{self.manifest}: not all models are trained. {ADVICE}")
        for model in found.models:
            found.checked(model)
        return found

    def _known(self, *, warn: bool = False) -> list[FoldModel]:
        """All models that the manifest names; none if it cannot be read."""
        try:
            found, others = self._read()
        except CheckpointError as error:
            if warn and self.manifest.exists():
                logger.warning("%s All its models are trained again.", error)
            return []
        return [*found.models, *others]

    def _remove_all_but(self, files: Collection[str]) -> None:
        for path in self.path.iterdir():
            if _OF_MODELS.fullmatch(path.name) and path.name not in files:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _read(self) -> tuple[FoldModels, list[FoldModel]]:
        """Models of the latest purpose, and the others."""

        def build(fields: dict[str, Any]) -> tuple[FoldModels, list[FoldModel]]:
            models, others = ([FoldModel(**model) for model in fields.pop(key)] for key in ("models", "others"))
            return FoldModels(**fields, models=tuple(models), path=self.path), others

        return KIND.read(self.path, build)
