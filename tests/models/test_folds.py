"""The folder of a cross-validation: what its manifest names is there, and what is wrong with it is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from price_fusion.errors import CheckpointError
from price_fusion.models.folds import MANIFEST, NETWORK, FoldFolder, FoldModel, FoldModels
from price_fusion.storage.sealed import sealed


@pytest.fixture
def folder(tmp_path: Path) -> FoldFolder:
    return FoldFolder("tiny", tmp_path / "folds")


def model_in(folder: FoldFolder, file: str, fold: int | None = 0, recipe: str = "0f", data: str = "d0") -> FoldModel:
    """A model of two files, which it writes; they tell its recipe."""
    (folder.path / file / "deep").mkdir(parents=True, exist_ok=True)
    (folder.path / file / "weights").write_text(f"{file} by {recipe}")
    (folder.path / file / "deep/record").write_text("{}")
    return FoldModel(fold, 41, file, recipe, data, 1.5, folder.digests(file))


def models_in(folder: FoldFolder, count: int = 2, **changes: Any) -> FoldModels:
    """Models whose files are there."""
    models = tuple(model_in(folder, f"fold-{fold}", fold) for fold in range(count))
    return replace(FoldModels("tiny", NETWORK, models, folder.path), **changes)


def test_reads_what_was_written(folder: FoldFolder) -> None:
    models = models_in(folder)
    assert not folder.is_complete
    folder.write(models)
    assert folder.is_complete
    assert folder.read() == models
    assert models.seconds == 3.0
    assert models.path_of(models.models[1]) == models.checked(models.models[1]) == folder.path / "fold-1"
    assert set(models.models[1].sha256) == {"fold-1/weights", "fold-1/deep/record"}
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


def test_once_complete_what_is_of_no_model_is_removed(folder: FoldFolder) -> None:
    models = models_in(folder)
    (folder.path / "fold-7.safetensors.run").mkdir()
    (folder.path / "fold-7.safetensors.run" / "state.pt").touch()
    (folder.path / ".fold-1.safetensors.77.partial").touch()
    (folder.path / "notes.txt").touch()
    folder.write(replace(models, complete=False))
    assert len(list(folder.path.iterdir())) == 6
    folder.write(models)
    assert {path.name for path in folder.path.iterdir()} == {MANIFEST, "fold-0", "fold-1", "notes.txt"}


def test_incomplete_ones_are_not_read_but_known(folder: FoldFolder) -> None:
    folder.write(models_in(folder, 1, complete=False))
    with pytest.raises(CheckpointError, match=r"not all models are trained. Run the pipeline again") as caught:
        folder.read()
    assert str(folder.manifest) in str(caught.value)
    assert not folder.is_complete
    assert list(folder.done()) == [(0, 41, "0f")]


@pytest.mark.parametrize("damage", ["missing", "damaged"])
@pytest.mark.parametrize("file", ["weights", "deep/record"])
def test_a_missing_or_damaged_model_is_named_and_counts_as_not_trained(
    folder: FoldFolder, damage: str, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    models = models_in(folder)
    folder.write(models)
    path = folder.path / "fold-1" / file
    path.unlink() if damage == "missing" else path.write_text("[]")
    for use in (folder.read, lambda: models.checked(models.models[1])):
        with pytest.raises(
            CheckpointError, match=rf"{damage}.*going by manifest\.json. Run the pipeline again"
        ) as caught:
            use()
        assert str(path) in str(caught.value)
    assert models.checked(models.models[0])
    assert not folder.is_complete
    assert list(folder.done()) == [(0, 41, "0f")]
    assert f"{path}: {damage}" in caplog.text
    assert "it is trained again" in caplog.text


# --- several purposes share a folder ---------------------------------------------------------------------------------


def names_in(folder: FoldFolder) -> set[str]:
    return {path.name for path in folder.path.iterdir()} - {MANIFEST}


def test_models_of_another_purpose_stay(folder: FoldFolder) -> None:
    few = models_in(folder)
    refit = model_in(folder, "all-rows-seed-41", None)
    folder.write(replace(few, models=(*few.models, refit)))
    folder.write(few)
    assert folder.read() == few
    assert names_in(folder) == {"fold-0", "fold-1", "all-rows-seed-41"}
    assert set(folder.done()) == {(0, 41, "0f"), (1, 41, "0f"), (None, 41, "0f")}


def test_a_failure_loses_no_models(folder: FoldFolder) -> None:
    whole = models_in(folder)
    folder.write(replace(whole, models=whole.models[:1], complete=False))
    folder.write(FoldModels("tiny", NETWORK, (), failure="the loss became nan"))
    assert folder.read().failure == "the loss became nan"
    assert list(folder.done()) == [(0, 41, "0f")]
    assert names_in(folder) == {"fold-0"}


def test_a_newer_recipe_replaces_the_model_of_its_file(folder: FoldFolder) -> None:
    folder.write(models_in(folder))
    begun = replace(models_in(folder, 0), complete=False)
    folder.write(begun, replacing=["fold-0"])
    assert set(folder.done()) == {(1, 41, "0f")}
    newer = model_in(folder, "fold-0", recipe="1f")
    folder.write(replace(begun, models=(newer,)))
    assert set(folder.done()) == {(0, 41, "1f"), (1, 41, "0f")}
    folder.write(replace(begun, models=(newer,), complete=True))
    assert folder.read().models == (newer,)
    assert names_in(folder) == {"fold-0", "fold-1"}


def test_models_of_other_data_go_once_those_of_now_are_complete(folder: FoldFolder) -> None:
    folder.write(models_in(folder))
    newer = replace(models_in(folder, 0), models=(model_in(folder, "fold-0", recipe="1f", data="d1"),))
    folder.write(replace(newer, complete=False))
    assert names_in(folder) == {"fold-0", "fold-1"}
    folder.write(newer)
    assert set(folder.done()) == {(0, 41, "1f")}
    assert names_in(folder) == {"fold-0"}


# --- what is no manifest ---------------------------------------------------------------------------------------------


def test_an_absent_folder_is_named(folder: FoldFolder) -> None:
    with pytest.raises(
        CheckpointError, match=r"no models of cross-validation here \(no manifest\.json\)\. Run the pipeline again"
    ):
        folder.read()
    assert folder.done() == {}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "7", '"x"', '{"format_version": 2}', "\xff",
        sealed({"format_version": 2, "models": [{"fold": 1}], "others": []}),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_named_and_counts_as_none(
    folder: FoldFolder, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder.path.mkdir()
    folder.manifest.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match="damaged manifest") as caught:
        folder.read()
    assert str(folder.manifest) in str(caught.value)
    assert not folder.is_complete
    assert folder.done() == {}
    assert "All its models are trained again" in caplog.text


def test_a_changed_manifest_is_noticed(folder: FoldFolder) -> None:
    folder.write(models_in(folder))
    folder.manifest.write_text(folder.manifest.read_text().replace('"seconds": 1.5', '"seconds": 1.4', 1))
    with pytest.raises(CheckpointError, match=r"damaged manifest \(sha256 of its contents"):
        folder.read()


@pytest.mark.parametrize("more", [{}, {"models": "of another kind"}, {"budget": 3}])
def test_another_version_is_named(folder: FoldFolder, more: dict[str, Any]) -> None:
    folder.write(models_in(folder))
    contents = json.loads(folder.manifest.read_text()) | {"format_version": 9} | more
    folder.manifest.write_text(json.dumps(contents))
    with pytest.raises(CheckpointError, match=r"format 9; this program reads format 2. Run the pipeline again"):
        folder.read()
    assert folder.done() == {}
