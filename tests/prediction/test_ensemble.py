"""Ensembles: blends of members on the simplex, in a folder that needs nothing else and is checked byte by byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion import Predictor
from price_fusion.data.splits import NO_FOLD
from price_fusion.errors import CheckpointError, DataError
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.checkpoint import load_checkpoint
from price_fusion.models.features import features_from_tables
from price_fusion.models.folds import FoldFolder, FoldModels
from price_fusion.models.network import Network
from price_fusion.parameters import ComparisonParameters, VariantParameters
from price_fusion.prediction.blending import LOWEST_WEIGHT, Method
from price_fusion.prediction.ensemble import (
    EnsembleDraft,
    OutOfFold,
    build_ensemble,
    load_ensemble,
    members_table,
    save_ensemble,
)
from price_fusion.selection.cross_validation import (
    LabelledData,
    cross_validate_estimator,
    cross_validate_variant,
    fold_log_prices,
    out_of_fold,
)
from price_fusion.storage.files import remove_leftovers
from price_fusion.storage.sealed import SEAL, sealed
from support.aligned import aligned


@dataclass(frozen=True)
class Trained:
    """Members, and what they were trained on."""

    labelled: LabelledData
    members: tuple[OutOfFold, ...]

    def draft(self, *members: OutOfFold, method: Method = "convex") -> EnsembleDraft:
        tables = self.labelled.tables
        return build_ensemble(
            members or self.members,
            method=method,
            sources={name: table.declaration for name, table in tables.items()},
            dtypes={name: table.dtype for name, table in tables.items()},
            data={"samples": "0f"},
        )

    def known(self) -> pd.DataFrame:
        return self.members[0].predictions


@pytest.fixture(scope="module")
def trained(
    make_labelled: Callable[..., LabelledData],
    tiny_variant: Callable[..., VariantParameters],
    new_folder: Callable[[], Path],
) -> Trained:
    """A variant of two seeds and two estimators."""
    labelled, home = make_labelled(), new_folder()
    variant = tiny_variant(epochs=30, learning_rate=0.01)
    models = [cross_validate_variant(variant, labelled, FoldFolder("net", home / "net"), seeds=2, seed=7)]
    models += [
        cross_validate_estimator(kind, labelled, FoldFolder(kind, home / kind), options=ComparisonParameters(), seed=7)
        for kind in ("ridge", "neighbours")
    ]
    return Trained(labelled, tuple(OutOfFold(one, out_of_fold(one, labelled)) for one in models))


def test_refits_price_where_there_are_any(
    make_labelled: Callable[..., LabelledData], tiny_variant: Callable[..., VariantParameters], tmp_path: Path
) -> None:
    labelled = make_labelled()
    models = cross_validate_variant(
        tiny_variant(), labelled, FoldFolder("net", tmp_path / "a"), seeds=1, seed=7, refits=2
    )
    draft = Trained(labelled, ()).draft(OutOfFold(models, out_of_fold(models, labelled)))
    save_ensemble(tmp_path / "ensemble", draft)
    priced = Predictor.load(tmp_path / "ensemble").predict_samples(labelled.samples, labelled.tables)
    each = [fold_log_prices(models, model, labelled.samples, labelled.tables) for model in models.final]
    assert draft.manifest.members[0].models == ("net-all-rows-seed-7.safetensors", "net-all-rows-seed-8.safetensors")
    np.testing.assert_allclose(np.log1p(priced), np.mean(each, axis=0), rtol=1e-9)


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """A saved ensemble of all members: the weights are set, so that each has one."""
    draft = trained.draft()
    members = [
        member.model_copy(
            update={
                "weight": weight,
                "models": tuple(f"{member.name}-{model.file}" for model in one.models.models),
            }
        )
        for member, weight in zip(
            sorted(draft.manifest.members, key=lambda member: member.name), (0.5, 0.2, 0.3), strict=True
        )
        for one in trained.members
        if one.models.name == member.name
    ]
    paths = {
        f"{one.models.name}-{model.file}": one.models.path_of(model)
        for one in trained.members
        for model in one.models.models
    }
    manifest = draft.manifest.model_copy(update={"members": tuple(members)})
    save_ensemble(tmp_path / "ensemble", replace(draft, manifest=manifest, models=paths))
    return tmp_path / "ensemble"


def held_out(labelled: LabelledData) -> pd.DataFrame:
    return labelled.samples[(labelled.split_table["split"] == "holdout").to_numpy()]


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["greedy", "convex"])
def test_weights_are_on_the_simplex_and_the_dearest_comes_first(trained: Trained, method: Method) -> None:
    manifest = trained.draft(method=method).manifest
    weights = [member.weight for member in manifest.members]
    assert {member.name for member in manifest.members} == {"net", "ridge", "neighbours"}
    assert all(weight == 0 or weight >= LOWEST_WEIGHT for weight in weights)
    assert sum(weights) == pytest.approx(1)
    assert weights == sorted(weights, reverse=True)
    assert manifest.method == method
    assert manifest.median_price == np.median(trained.known()["price"])
    for member in manifest.members:
        one = next(one for one in trained.members if one.models.name == member.name)
        smape = smape_per_product(one.predictions["predicted"], one.predictions["price"]).mean()
        assert member.out_of_fold_smape == pytest.approx(smape)
        assert member.seconds == one.models.seconds


def test_a_member_that_brings_nothing_has_no_weight_and_no_models(trained: Trained, tmp_path: Path) -> None:
    ridge, hopeless = trained.members[1], trained.members[2]
    perfect = replace(ridge, predictions=ridge.predictions.assign(predicted=ridge.predictions["price"]))
    draft = trained.draft(perfect, hopeless)
    assert [(member.name, member.weight) for member in draft.manifest.members] == [("ridge", 1.0), ("neighbours", 0.0)]
    assert set(draft.models) == {f"ridge-fold-{fold}" for fold in range(3)}
    assert draft.manifest.out_of_fold_smape == pytest.approx(0, abs=1e-9)
    save_ensemble(tmp_path / "e", draft)
    assert not list((tmp_path / "e").glob("neighbours*"))
    ensemble = load_ensemble(tmp_path / "e")
    table = members_table(ensemble, held_out(trained.labelled), trained.labelled.tables)
    assert table["member"].tolist() == ["ridge", "neighbours", "ensemble"]
    assert table["smape"].isna().tolist() == [False, True, False]
    assert table.loc[0, "smape"] == pytest.approx(table.loc[2, "smape"])
    assert table["models"].tolist() == [3, 0, 3]


def test_intervals_are_calibrated_on_blends_whose_weights_did_not_see_the_fold(trained: Trained) -> None:
    calibration, known = trained.draft().calibration, trained.known()
    logs = np.log1p(np.stack([one.predictions["predicted"] for one in trained.members], axis=1))
    np.testing.assert_allclose(calibration.log_prices + calibration.residuals, np.log1p(known["price"]))
    # One with other prices in a fold has the same predictions in it: its weights come from the other folds.
    changed = [replace(one, predictions=known_with(one.predictions, fold=1, price=1.0)) for one in trained.members]
    again = trained.draft(*changed).calibration
    inside = (known["fold"] == 1).to_numpy()
    np.testing.assert_array_equal(again.log_prices[inside], calibration.log_prices[inside])
    assert (logs.min(axis=1) - 1e-9 <= calibration.log_prices).all()
    assert (calibration.log_prices <= logs.max(axis=1) + 1e-9).all()


def known_with(predictions: pd.DataFrame, fold: int, price: float) -> pd.DataFrame:
    return predictions.assign(price=predictions["price"].mask(predictions["fold"] == fold, price))


# --- members that failed ---------------------------------------------------------------------------------------------


def failed(name: str) -> OutOfFold:
    return OutOfFold(FoldModels(name, "network", (), failure="the loss became nan"), pd.DataFrame())


def test_failed_members_are_named_in_the_manifest(trained: Trained) -> None:
    manifest = trained.draft(failed("moe"), *trained.members).manifest
    assert manifest.failed == {"moe": "the loss became nan"}
    assert len(manifest.members) == 3
    assert manifest == trained.draft().manifest.model_copy(update={"failed": manifest.failed})


def test_an_ensemble_of_failures_is_none(trained: Trained) -> None:
    with pytest.raises(DataError, match=r"no member is left; failed: .*'moe': 'the loss became nan'.*Name members"):
        trained.draft(failed("moe"))


def test_predictions_of_other_rows_are_refused(trained: Trained) -> None:
    net, ridge, _ = trained.members
    short = replace(ridge, predictions=ridge.predictions.iloc[1:])
    with pytest.raises(DataError, match=r"ridge and net have out-of-fold predictions of other rows. Run the pipeline"):
        trained.draft(net, short)


# --- prices ----------------------------------------------------------------------------------------------------------


def test_log_prices_are_weighted_means_of_the_members_means(trained: Trained, folder: Path) -> None:
    samples, tables = held_out(trained.labelled), trained.labelled.tables
    means = {
        one.models.name: np.mean(
            [fold_log_prices(one.models, model, samples, tables) for model in one.models.models], axis=0
        )
        for one in trained.members
    }
    expected = 0.5 * means["neighbours"] + 0.2 * means["net"] + 0.3 * means["ridge"]
    ensemble = load_ensemble(folder)
    found = ensemble.log_prices(features_from_tables(samples, tables, ensemble.sources))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    prices = Predictor(ensemble).predict_samples(samples, tables)
    np.testing.assert_allclose(prices, np.expm1(expected), rtol=1e-6)

    table = members_table(ensemble, samples, tables).set_index("member")
    for name, mean in [*means.items(), ("ensemble", expected)]:
        assert table.loc[name, "smape"] == pytest.approx(smape_per_product(np.expm1(mean), samples["price"]).mean())
    assert table.loc["ensemble", "models"] == table["models"].iloc[:-1].sum() == 6 + 3 + 3


def test_without_products_members_have_no_figures_of_them(trained: Trained, folder: Path) -> None:
    table = members_table(load_ensemble(folder), trained.labelled.samples.iloc[:0], trained.labelled.tables)
    assert table["smape"].isna().all()
    assert table["out_of_fold_smape"].notna().all()


def test_the_folder_alone_is_enough(trained: Trained, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "mine"
    before = Predictor.load(folder)
    samples, tables = held_out(trained.labelled), trained.labelled.tables
    expected = before.price_samples(samples, tables, (0.8, 0.9))
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    predictor = Predictor.load(str(elsewhere))
    pd.testing.assert_frame_equal(predictor.price_samples(samples, tables, (0.8, 0.9)), expected)
    assert predictor.widths == {"picture": 5, "words": 9}

    arrays = {"picture": np.ones((3, 5)), "words": np.ones((3, 9))}
    table = predictor.predict_intervals(arrays)
    np.testing.assert_array_equal(table["price"], predictor.predict(arrays))
    assert ((table["price_low"] < table["price"]) & (table["price"] < table["price_high"])).all()
    np.testing.assert_allclose(
        predictor.predict({name: array[:1] for name, array in arrays.items()}), table["price"][:1]
    )
    assert predictor.gate_weights(samples, tables).shape == (len(samples), 0)


def test_models_are_copied(trained: Trained, tmp_path: Path, new_folder: Callable[[], Path]) -> None:
    home = new_folder()
    moved = []
    for one in trained.members:
        shutil.copytree(one.models.path, home / one.models.name)
        moved.append(replace(one, models=replace(one.models, path=home / one.models.name)))
    save_ensemble(tmp_path / "e", trained.draft(*moved))
    shutil.rmtree(home)
    samples, tables = held_out(trained.labelled), trained.labelled.tables
    assert np.isfinite(Predictor.load(tmp_path / "e").predict_samples(samples, tables)).all()


def test_a_product_that_no_source_knows_costs_the_median(trained: Trained, folder: Path) -> None:
    predictor = Predictor.load(folder)
    samples, tables = aligned(pd.DataFrame(index=range(2)), trained.labelled.tables, picture=[-1, 0], words=[-1, -1])
    table = predictor.price_samples(samples, tables, (0.8,))
    assert table["price"][0] == np.median(trained.known()["price"]) != table["price"][1]
    assert table["price_low"][0] < table["price"][0] < table["price_high"][0]


def test_networks_of_the_folder_are_the_fold_models(trained: Trained, folder: Path) -> None:
    net = trained.members[0].models
    samples, tables = held_out(trained.labelled), trained.labelled.tables
    copied = Network(load_checkpoint(folder / f"net-{net.models[0].file}"))
    found = copied.log_prices(features_from_tables(samples, tables, copied.sources))
    np.testing.assert_array_equal(found, fold_log_prices(net, net.models[0], samples, tables))


# --- the folder ------------------------------------------------------------------------------------------------------


def test_another_ensemble_replaces_the_one_before(trained: Trained, folder: Path) -> None:
    (folder / "leftover").touch()
    save_ensemble(folder, trained.draft(trained.members[1]))
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json", "calibration.safetensors", *(f"ridge-fold-{fold}" for fold in range(3)),
    }  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["ensemble"]


def test_what_cannot_be_written_leaves_the_one_before(trained: Trained, folder: Path) -> None:
    draft = trained.draft(trained.members[1])
    absent = replace(draft, models={"ridge-fold-0": folder / "absent"})
    with pytest.raises(CheckpointError, match=r"absent: a model of the ensemble, and not there. Run the pipeline"):
        save_ensemble(folder, absent)
    assert [path.name for path in folder.parent.iterdir()] == ["ensemble"]
    assert len(load_ensemble(folder).members) == 3


def test_each_file_is_checked(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert len(files) == 1 + 6 + 3 * 2 + 3 * 2
    for path in files:
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            flipped = bytearray(whole)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            with pytest.raises(
                CheckpointError, match=r"damaged or exchanged: its sha256.*Run the pipeline 'ensemble' again"
            ) as caught:
                Predictor.load(folder)
            assert str(path) in str(caught.value)
        path.unlink()
        with pytest.raises(CheckpointError, match=r"missing, going by manifest\.json") as caught:
            Predictor.load(folder)
        assert str(path) in str(caught.value)
        path.write_bytes(whole)
    load_ensemble(folder)


def changed(folder: Path, change: Mapping[str, Any]) -> None:
    """A manifest that says something else, under a seal that fits."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest[SEAL]
    (folder / "manifest.json").write_text(sealed(manifest | change))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format_version": 9}, "ensemble of format 9, written by .*, which reads format 2"),
        ({"format_version": None}, "ensemble of format None"),
        ({"members": 3}, r"damaged manifest (?s:.*)members"),
        ({"sources": {"words": {"width": -3}}}, r"damaged manifest (?s:.*)sources"),
        ({"budget": 3}, r"damaged manifest (?s:.*)budget"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(folder: Path, change: dict[str, Any], expected: str) -> None:
    changed(folder, change)
    with pytest.raises(CheckpointError, match=expected) as caught:
        load_ensemble(folder)
    assert str(folder / "manifest.json") in str(caught.value)


def test_a_changed_weight_in_the_manifest_is_noticed(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"weight": 0.5', '"weight": 0.6'))
    with pytest.raises(
        CheckpointError, match=r"damaged manifest \(sha256 of its contents.*Run the pipeline 'ensemble'"
    ):
        load_ensemble(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "\xff"])
def test_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match="damaged manifest") as caught:
        load_ensemble(folder)
    assert str(folder / "manifest.json") in str(caught.value)


def test_no_ensemble_is_said_to_be_none(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    for path in (folder, tmp_path):
        with pytest.raises(
            CheckpointError, match=r"no ensemble here \(no manifest\.json\)\. Run the pipeline 'ensemble'"
        ):
            Predictor.load(path)


KILLED = """
import os, pathlib, sys
from price_fusion.prediction.ensemble import EnsembleDraft, load_ensemble, save_ensemble

rename = pathlib.Path.replace

def die_before_the_new_one_is_named(path, target):
    if path.suffix == ".partial":
        os.kill(os.getpid(), 9)
    return rename(path, target)

pathlib.Path.replace = die_before_the_new_one_is_named
folder = pathlib.Path(sys.argv[1])
ensemble = load_ensemble(folder)
names = [name for member in ensemble.manifest.members for name in member.models]
save_ensemble(folder, EnsembleDraft(ensemble.manifest, ensemble.calibration, {name: folder / name for name in names}))
"""


def test_a_kill_while_the_new_one_takes_its_place_is_mended(trained: Trained, folder: Path) -> None:
    samples, tables = held_out(trained.labelled), trained.labelled.tables
    expected = Predictor.load(folder).predict_samples(samples, tables)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False, timeout=120)
    assert killed.returncode == -9
    assert not folder.exists()
    assert len(remove_leftovers(folder.parent)) == 2
    assert [path.name for path in folder.parent.iterdir()] == ["ensemble"]
    np.testing.assert_array_equal(Predictor.load(folder).predict_samples(samples, tables), expected)


def test_a_damaged_model_is_not_taken_into_an_ensemble(trained: Trained, tmp_path: Path) -> None:
    ridge = trained.members[1]
    shutil.copytree(ridge.models.path, tmp_path / "ridge")
    moved = replace(ridge, models=replace(ridge.models, path=tmp_path / "ridge"))
    path = tmp_path / "ridge/fold-1/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: damaged.*models that are whole are not trained"):
        trained.draft(moved)


def test_out_of_fold_rows_are_those_of_a_fold(trained: Trained) -> None:
    assert len(trained.known()) == (trained.labelled.split_table["fold"] != NO_FOLD).sum()
