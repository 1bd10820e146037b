"""The folder of a cross-validation: what its manifest names is there, and what is wrong with it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from price_fusion.errors import CheckpointError
from price_fusion.fusion.folds import MANIFEST, NETWORK, FoldFolder, FoldModel, FoldModels


@pytest.fixture
def folder(tmp_path: Path) -> FoldFolder:
    return FoldFolder("tiny", tmp_path / "folds")


def models_in(folder: FoldFolder, count: int = 2, **changes: Any) -> FoldModels:
    """Models whose files are there."""
    models = tuple(FoldModel(fold, 41, f"fold-{fold}", "0f", 1.5) for fold in range(count))
    for model in models:
        (folder.path / model.file).mkdir(parents=True, exist_ok=True)
    return replace(FoldModels("tiny", NETWORK, models, folder.path), **changes)


def test_reads_what_was_written(folder: FoldFolder) -> None:
    models = models_in(folder)
    assert not folder.is_complete
    folder.write(models)
    assert folder.is_complete
    assert folder.read() == models
    assert models.seconds == 3.0
    assert models.path_of(models.models[1]) == folder.path / "fold-1"
    assert folder.done() == {(fold, 41, "0f"): models.models[fold] for fold in (0, 1)}


def test_a_failure_is_kept(folder: FoldFolder) -> None:
    failed = models_in(folder, 0, failure="the loss became nan")
    folder.write(failed)
    assert folder.read() == failed
    assert folder.done() == {}


def test_models_can_be_moved_with_their_folder(folder: FoldFolder, tmp_path: Path) -> None:
    folder.write(models_in(folder))
    folder.path.rename(tmp_path / "elsewhere")
    assert FoldFolder("tiny", tmp_path / "elsewhere").read().path == tmp_path / "elsewhere"


def test_once_complete_what_is_not_named_is_removed(folder: FoldFolder) -> None:
    models = models_in(folder)
    (folder.path / "fold-7.safetensors.run").mkdir()
    (folder.path / "fold-7.safetensors.run" / "state.pt").touch()
    (folder.path / ".fold-1.safetensors.77.partial").touch()
    folder.write(replace(models, complete=False))
    assert len(list(folder.path.iterdir())) == 5
    folder.write(models)
    assert {path.name for path in folder.path.iterdir()} == {MANIFEST, "fold-0", "fold-1"}


def test_incomplete_ones_are_not_read_but_known(folder: FoldFolder) -> None:
    folder.write(models_in(folder, 1, complete=False))
    with pytest.raises(CheckpointError, match=r"not all models are trained. Run the pipeline again") as caught:
        folder.read()
    assert str(folder.manifest) in str(caught.value)
    assert not folder.is_complete
    assert list(folder.done()) == [(0, 41, "0f")]


def test_a_missing_model_is_named_and_counts_as_not_trained(folder: FoldFolder) -> None:
    folder.write(models_in(folder))
    (folder.path / "fold-1").rmdir()
    with pytest.raises(CheckpointError, match="names fold-1, which are not there"):
        folder.read()
    assert list(folder.done()) == [(0, 41, "0f")]


def test_an_absent_folder_is_named(folder: FoldFolder) -> None:
    with pytest.raises(CheckpointError, match=r"no models of cross-validation here. Run the pipeline again"):
        folder.read()
    assert folder.done() == {}


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "7", '"x"', "{}", '{"format_version": 1, "models": [{"fold": 1}]}', "\xff"]
)
def test_a_damaged_manifest_is_named_and_counts_as_none(folder: FoldFolder, text: str) -> None:
    folder.path.mkdir()
    folder.manifest.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match="damaged manifest") as caught:
        folder.read()
    assert str(folder.manifest) in str(caught.value)
    assert not folder.is_complete
    assert folder.done() == {}


@pytest.mark.parametrize("more", [{}, {"models": "of another kind"}, {"budget": 3}])
def test_another_version_is_named(folder: FoldFolder, more: dict[str, Any]) -> None:
    folder.write(models_in(folder))
    contents = json.loads(folder.manifest.read_text()) | {"format_version": 9} | more
    folder.manifest.write_text(json.dumps(contents))
    with pytest.raises(CheckpointError, match=r"format 9, this program reads 1. Run the pipeline again"):
        folder.read()
    assert folder.done() == {}
