"""Cross-validation: each row is predicted by models that did not see it, and an interruption costs one model."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion import Predictor
from price_fusion.data.splits import NO_FOLD
from price_fusion.errors import CheckpointError, DataError, TrainingError
from price_fusion.models.checkpoint import load_checkpoint, save_checkpoint
from price_fusion.models.estimators import load_estimator
from price_fusion.models.folds import FoldFolder, FoldModels
from price_fusion.parameters import ComparisonParameters, HierarchicalFusion, VariantParameters
from price_fusion.selection import cross_validation
from price_fusion.selection.cross_validation import (
    LabelledData,
    check_folds,
    cross_validate_estimator,
    cross_validate_variant,
    out_of_fold,
)

MakeVariant = Callable[..., VariantParameters]
Frame = pd.DataFrame


@pytest.fixture(scope="module")
def labelled(make_labelled: Callable[..., LabelledData]) -> LabelledData:
    """90 products, 72 of them in three folds or bound to train."""
    return make_labelled()


@pytest.fixture
def folder(tmp_path: Path) -> FoldFolder:
    return FoldFolder("tiny", tmp_path / "folds")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seed of each training, as they come."""
    seeds: list[int] = []
    train = cross_validation.train_variant

    def counted(*arguments: Any, **options: Any) -> Any:
        seeds.append(options["seed"])
        return train(*arguments, **options)

    monkeypatch.setattr(cross_validation, "train_variant", counted)
    return seeds


def contents(folder: FoldFolder) -> dict[str, bytes]:
    """Files of the models; the manifest, which knows how long they took, is left out."""
    files = [path for path in folder.path.rglob("*") if path.is_file() and path != folder.manifest]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in files}


# --- out-of-fold predictions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [{}, {"keep": "best"}])
def test_each_row_is_predicted_by_the_models_of_its_fold(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, train: dict[str, Any]
) -> None:
    models = cross_validate_variant(tiny_variant(**train), labelled, folder, seeds=2, seed=7)
    assert [(model.fold, model.seed) for model in models.models] == [(f, s) for f in range(3) for s in (7, 8)]
    found = out_of_fold(models, labelled)

    folds, samples = labelled.split_table["fold"].to_numpy(), labelled.samples
    chosen = np.flatnonzero(folds != NO_FOLD)
    assert found["sample_id"].tolist() == samples["sample_id"].iloc[chosen].tolist()
    assert found["fold"].tolist() == folds[chosen].tolist()
    assert found["price"].tolist() == samples["price"].iloc[chosen].tolist()
    loaded = {
        (model.fold, model.seed): Predictor.load(folder.path / f"fold-{model.fold}-seed-{model.seed}.safetensors")
        for model in models.models
    }
    for place, row in enumerate(chosen):
        prices = [loaded[folds[row], seed].predict_samples(samples.iloc[[row]], labelled.tables)[0] for seed in (7, 8)]
        assert found.loc[place, ["seed_7", "seed_8"]].tolist() == pytest.approx(prices, rel=1e-5)
        assert found.loc[place, "predicted"] == pytest.approx(np.expm1(np.log1p(prices).mean()), rel=1e-5)


def test_models_know_nothing_of_their_fold_nor_of_the_holdout(
    labelled: LabelledData, new_folder: Callable[[], Path], tiny_variant: MakeVariant
) -> None:
    folds = labelled.split_table["fold"].to_numpy()
    hidden = (folds == 1) | (labelled.split_table["split"] == "holdout").to_numpy()
    prices = np.where(hidden, labelled.samples["price"] * 3 + 7, labelled.samples["price"])
    changed = replace(labelled, samples=labelled.samples.assign(price=prices))
    folders = [FoldFolder("tiny", new_folder()) for _ in range(2)]
    weights = []
    for folder, data in zip(folders, (labelled, changed), strict=True):
        cross_validate_variant(tiny_variant(keep="best"), data, folder, seeds=1, seed=7)
        weights.append([load_checkpoint(folder.path / f"fold-{fold}-seed-7.safetensors") for fold in range(3)])
    for fold, (one, other) in enumerate(zip(*weights, strict=True)):
        same = all(bool((one.weights[name] == other.weights[name]).all()) for name in one.weights)
        assert same == (fold == 1)


@pytest.mark.parametrize("kind", ["ridge", "kernel_ridge", "neighbours"])
def test_estimators_are_cross_validated_the_same_way(
    labelled: LabelledData, folder: FoldFolder, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = cross_validate_estimator(kind, labelled, folder, options=ComparisonParameters(), seed=7)
    assert models.kind == kind
    found = out_of_fold(models, labelled)
    assert list(found) == ["sample_id", "fold", "price", "predicted", "seed_7"]
    folds = labelled.split_table["fold"].to_numpy()
    for fold in range(3):
        estimator = load_estimator(folder.path / f"fold-{fold}")
        rows = np.flatnonzero(folds == fold)
        features = cross_validation.features_from_tables(labelled.samples, labelled.tables, estimator.sources)
        expected = np.expm1(estimator.log_prices(features, rows))
        np.testing.assert_allclose(found.loc[found["fold"] == fold, "predicted"], expected, rtol=1e-5)
        others = labelled.samples["price"][(folds != fold) & (folds != NO_FOLD)]  # stop rows, too
        assert estimator.description.median_log_price == pytest.approx(
            np.log1p(others / estimator.price_scale.unit).median()
        )
    monkeypatch.setattr(cross_validation, "fit_estimator", None)  # nothing is fitted again
    assert cross_validate_estimator(kind, labelled, folder, options=ComparisonParameters(), seed=7) == models


def test_members_that_failed_predict_nothing(labelled: LabelledData) -> None:
    found = out_of_fold(FoldModels("tiny", "network", (), failure="the loss became nan"), labelled)
    assert list(found) == ["sample_id", "fold", "price", "predicted"]
    assert found.empty


def test_models_trained_together_are_written_like_others(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "_train_one_by_one", cross_validation._train_together)
    models = cross_validate_variant(tiny_variant(), labelled, folder, seeds=2, seed=7)
    assert sorted(contents(folder)) == sorted(model.file for model in models.models)
    assert len(out_of_fold(models, labelled)) == (labelled.split_table["fold"] != NO_FOLD).sum()
    assert cross_validate_variant(tiny_variant(), labelled, folder, seeds=2, seed=7) == models


def test_models_of_all_rows_price_new_products_and_no_fold(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, tmp_path: Path
) -> None:
    plain = cross_validate_variant(tiny_variant(), labelled, FoldFolder("tiny", tmp_path / "plain"), seeds=1, seed=7)
    models = cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7, refits=2)
    assert [model.seed for model in models.final] == [7, 8]
    assert plain.final == plain.models
    pd.testing.assert_frame_equal(out_of_fold(models, labelled), out_of_fold(plain, labelled))

    # A refit is the model that training on all rows but the holdout alone gives: another price there changes it, and only there.
    held_out = (labelled.split_table["split"] == "holdout").to_numpy()
    weights = [load_checkpoint(models.path_of(model)).weights for model in models.final]
    for place, same in ((np.flatnonzero(held_out)[0], True), (np.flatnonzero(~held_out)[-1], False)):
        price = labelled.samples["price"].to_numpy().copy()
        price[place] *= 3
        other = replace(labelled, samples=labelled.samples.assign(price=price))
        again = cross_validate_variant(
            tiny_variant(), other, FoldFolder("tiny", tmp_path / str(place)), seeds=1, seed=7, refits=2
        )
        assert [model.recipe for model in again.final] == [model.recipe for model in models.final] or not same
        for one, model in zip(weights, again.final, strict=True):
            found = load_checkpoint(again.path_of(model)).weights
            assert all(one[name].equal(tensor) for name, tensor in found.items()) is same


# --- what is there is not trained again ------------------------------------------------------------------------------


class InterruptionError(Exception):
    """What ends a cross-validation between two models."""


def test_an_interrupted_one_trains_what_is_missing_and_ends_as_if_never_interrupted(
    labelled: LabelledData,
    folder: FoldFolder,
    tiny_variant: MakeVariant,
    trainings: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = FoldFolder("tiny", tmp_path / "whole")
    expected = cross_validate_variant(tiny_variant(epochs=2), labelled, whole, seeds=2, seed=7)
    assert trainings == [7, 8] * 3

    def stop_at_the_third(path: Path, checkpoint: Any) -> None:
        if path.name.startswith("fold-1-seed-7"):
            path.with_name(f".{path.name}.77.partial").write_text("half")
            raise InterruptionError
        save_checkpoint(path, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "save_checkpoint", stop_at_the_third)
        with pytest.raises(InterruptionError):
            cross_validate_variant(tiny_variant(epochs=2), labelled, folder, seeds=2, seed=7)
    assert not folder.is_complete
    assert [model.file for model in folder.done().values()] == [
        "fold-0-seed-7.safetensors",
        "fold-0-seed-8.safetensors",
    ]
    assert any(path.suffix == ".partial" for path in folder.path.iterdir())

    trainings.clear()
    models = cross_validate_variant(tiny_variant(epochs=2), labelled, folder, seeds=2, seed=7)
    assert trainings == [7, 8, 7, 8]
    assert contents(folder) == contents(whole)
    assert [replace(model, seconds=0) for model in models.models] == [
        replace(model, seconds=0) for model in expected.models
    ]
    pd.testing.assert_frame_equal(out_of_fold(models, labelled), out_of_fold(expected, labelled))
    trainings.clear()
    assert cross_validate_variant(tiny_variant(epochs=2), labelled, folder, seeds=2, seed=7) == models
    assert trainings == []


KILLED = """
import os, signal, sys
from pathlib import Path
import pandas as pd
import torch
from price_fusion.selection import cross_validation
from price_fusion.models.folds import FoldFolder
from price_fusion.data.table import EmbeddingTable
from price_fusion.parameters import VariantParameters

torch.set_num_threads(1)  # as in the process that goes on: sums by several threads differ in their last bits
data, save = Path(sys.argv[1]), cross_validation.save_checkpoint

def die_at_the_second(path, checkpoint):
    if path.name.startswith("fold-1"):
        path.with_name(f".{path.name}.77.partial").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
    save(path, checkpoint)

cross_validation.save_checkpoint = die_at_the_second
labelled = cross_validation.LabelledData(
    pd.read_parquet(data / "samples.parquet"),
    pd.read_parquet(data / "split_table.parquet"),
    {name: EmbeddingTable(Path(folder)) for name, folder in (pair.split("=") for pair in sys.argv[2:])},
)
variant = VariantParameters.model_validate_json((data / "variant.json").read_text())
cross_validation.cross_validate_variant(variant, labelled, FoldFolder("tiny", data / "folds"), seeds=1, seed=7)
"""


def test_a_killed_process_costs_one_model(
    labelled: LabelledData, tiny_variant: MakeVariant, trainings: list[int], tmp_path: Path
) -> None:
    variant = tiny_variant()
    labelled.samples.to_parquet(tmp_path / "samples.parquet")
    labelled.split_table.to_parquet(tmp_path / "split_table.parquet")
    (tmp_path / "variant.json").write_text(variant.model_dump_json())
    tables = [f"{name}={table.folder}" for name, table in labelled.tables.items()]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), *tables], timeout=120, check=False)
    assert killed.returncode == -9

    folder, whole = FoldFolder("tiny", tmp_path / "folds"), FoldFolder("tiny", tmp_path / "whole")
    cross_validate_variant(variant, labelled, folder, seeds=1, seed=7)
    assert len(trainings) == 2
    cross_validate_variant(variant, labelled, whole, seeds=1, seed=7)
    assert contents(folder) == contents(whole)


def test_all_that_decides_a_model_makes_another(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, trainings: list[int]
) -> None:
    def run(variant: VariantParameters, data: LabelledData, seed: int = 7) -> int:
        """Models that were trained."""
        trainings.clear()
        cross_validate_variant(variant, data, folder, seeds=1, seed=seed)
        return len(trainings)

    raised = labelled.samples.assign(price=labelled.samples["price"] * 1.5)
    assert run(tiny_variant(), labelled) == 3
    assert run(tiny_variant(resume=True, state_every=1.0), labelled) == 0
    assert run(tiny_variant(learning_rate=2e-3), labelled) == 3
    assert run(tiny_variant(), labelled) == 3
    assert run(tiny_variant(), replace(labelled, samples=raised)) == 3
    assert run(tiny_variant(), labelled, seed=8) == 3
    assert sorted(contents(folder)) == [f"fold-{fold}-seed-8.safetensors" for fold in range(3)]


def test_another_group_of_a_source_makes_another_model(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, trainings: list[int]
) -> None:
    plain = tiny_variant()
    model = plain.model.model_copy(update={"fusion": HierarchicalFusion(heads=2)})
    variant = plain.model_copy(update={"model": model})
    cross_validate_variant(variant, labelled, folder, seeds=1, seed=7)
    picture = labelled.tables["picture"]
    before = picture.declaration
    picture.declaration = before.model_copy(update={"group": "image"})
    try:
        cross_validate_variant(variant, labelled, folder, seeds=1, seed=7)
    finally:
        picture.declaration = before
    assert len(trainings) == 6


def test_prices_of_the_holdout_do_not(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, trainings: list[int]
) -> None:
    held_out = labelled.split_table["split"] == "holdout"
    changed = labelled.samples.assign(price=labelled.samples["price"].mask(held_out, 1.0))
    models = cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    again = cross_validate_variant(tiny_variant(), replace(labelled, samples=changed), folder, seeds=1, seed=7)
    assert len(trainings) == 3
    assert again == models


@pytest.mark.parametrize("damage", ["{", "[]", '{"format_version": 2}'])
def test_after_a_damaged_manifest_all_are_trained_again(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, trainings: list[int], damage: str
) -> None:
    cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    before = contents(folder)
    folder.manifest.write_text(damage)
    cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    assert len(trainings) == 6
    assert contents(folder) == before


def test_a_model_that_was_replaced_is_not_taken_for_what_it_was(
    labelled: LabelledData,
    folder: FoldFolder,
    tiny_variant: MakeVariant,
    trainings: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    before = contents(folder)

    def replace_and_stop(path: Path, checkpoint: Any) -> None:
        save_checkpoint(path, checkpoint)
        raise InterruptionError

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "save_checkpoint", replace_and_stop)
        with pytest.raises(InterruptionError):
            cross_validate_variant(tiny_variant(learning_rate=0.1), labelled, folder, seeds=1, seed=7)
    assert contents(folder)["fold-0-seed-7.safetensors"] != before["fold-0-seed-7.safetensors"]
    cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    assert len(trainings) == 3 + 1 + 3
    assert contents(folder) == before


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_a_damaged_model_is_trained_again_with_a_warning(
    labelled: LabelledData,
    folder: FoldFolder,
    tiny_variant: MakeVariant,
    trainings: list[int],
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    models = cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    before, path = contents(folder), folder.path / "fold-1-seed-7.safetensors"
    path.unlink()
    if damage == "flipped":
        whole = bytearray(before[path.name])
        whole[-1] ^= 1
        path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="Run the pipeline again") as caught:
        out_of_fold(models, labelled)
    assert str(path) in str(caught.value)
    trainings.clear()
    again = cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    assert trainings == [7]
    assert str(path) in caplog.text
    assert "it is trained again" in caplog.text
    assert contents(folder) == before
    assert [model.sha256 for model in again.models] == [model.sha256 for model in models.models]


def test_an_ensemble_and_a_cross_validation_keep_the_models_of_each_other(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, trainings: list[int]
) -> None:
    ensemble: dict[str, Any] = {"seeds": 2, "seed": 7, "refits": 1}
    wide = cross_validate_variant(tiny_variant(), labelled, folder, **ensemble)
    assert len(trainings) == 7
    narrow = cross_validate_variant(tiny_variant(), labelled, folder, seeds=1, seed=7)
    assert folder.read() == narrow
    assert cross_validate_variant(tiny_variant(), labelled, folder, **ensemble) == wide
    assert len(trainings) == 7


def test_a_diverged_training_is_an_error_and_leaves_the_others(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant
) -> None:
    with pytest.raises(TrainingError, match=r"tiny: the loss became .*Lower tiny\.train\.learning_rate"):
        cross_validate_variant(tiny_variant(learning_rate=1e30, epochs=3), labelled, folder, seeds=1, seed=7)
    assert not folder.is_complete


# --- folds -----------------------------------------------------------------------------------------------------------


def frames(folds: list[int], prices: list[float]) -> tuple[Frame, Frame]:
    return pd.DataFrame({"price": prices}), pd.DataFrame({"fold": folds})


def test_fewer_rows_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match=r"fold\(s\) 0, 1, 2 have fewer than 2 rows of 3 .* Lower splitting\.folds"):
        check_folds(*frames([0, 1, 2, NO_FOLD], [1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(DataError, match=r"at least two.*lower splitting\.folds"):
        check_folds(*frames([0, 0, NO_FOLD], [1.0, 2.0, 3.0]))


def test_products_that_are_too_few_are_refused_before_training(
    labelled: LabelledData, folder: FoldFolder, tiny_variant: MakeVariant, trainings: list[int]
) -> None:
    few = replace(labelled, split_table=labelled.split_table.assign(fold=[0, 1, 2] + [NO_FOLD] * 87))
    with pytest.raises(DataError, match=r"fewer than 2 rows of 3 in all: 3 folds are too many"):
        cross_validate_variant(tiny_variant(), few, folder, seeds=1, seed=7)
    with pytest.raises(DataError, match=r"fewer than 2 rows of 3 in all: 3 folds are too many"):
        cross_validate_estimator("ridge", few, folder, options=ComparisonParameters(), seed=7)
    assert not folder.path.exists()
    assert not trainings


def test_a_fold_without_a_price_range_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    prices = np.arange(1.0, 121.0)
    with caplog.at_level(logging.WARNING):
        assert check_folds(*frames([0, 1] * 60, prices.tolist())) == [0, 1]
    assert not caplog.records
    folds = np.where(prices > 108, 1, np.arange(120) % 2)
    with caplog.at_level(logging.WARNING):
        check_folds(*frames(folds.tolist(), prices.tolist()))
    assert [record.getMessage() for record in caplog.records] == [
        "folds lack products of some of 10 price ranges: fold 0 of range 10. Their metrics say nothing of these prices. Lower "
        "splitting.folds, or bring more products"
    ]


def test_small_folds_are_not_blamed_for_their_size(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_folds(*frames([0, 1, 2, 3, 4] * 3, [float(1 + row) for row in range(15)]))
    assert not caplog.records


def test_prices_of_the_holdout_make_no_price_range(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_folds(*frames([0, 1] * 20 + [NO_FOLD] * 40, [*range(1, 41), *range(1_000, 1_040)]))
    assert not caplog.records
