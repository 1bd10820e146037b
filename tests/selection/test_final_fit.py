"""Final fits: the evaluated training again, step for step, on all labelled rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from price_fusion.data.roles import EVALUATED, roles_of_split
from price_fusion.errors import CheckpointError, ComparisonError
from price_fusion.evaluation.calibration import calibrated
from price_fusion.models.checkpoint import Checkpoint, checkpoint_digest, save_checkpoint
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import ComparisonParameters, TrainParameters, VariantParameters
from price_fusion.prediction.ensemble import (
    Ensemble,
    OutOfFold,
    build_ensemble,
    load_ensemble,
    save_ensemble,
)
from price_fusion.selection.cross_validation import (
    LabelledData,
    cross_validate_estimator,
    cross_validate_variant,
    out_of_fold,
)
from price_fusion.selection.final_fit import final_checkpoint, fit_ensemble
from price_fusion.storage import files
from price_fusion.training.loader.training_data import training_data
from price_fusion.training.loop import TrainingLoop
from price_fusion.training.recipe import data_fingerprints
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.step.schedules import Schedule
from price_fusion.training.trainer import Trainer, train_variant

WHERE = TrainParameters(device="cpu")
SELECTING: dict[str, dict[str, Any]] = {
    "nothing": {"schedule": "cosine", "epochs": 6},
    "the epoch": {"schedule": "cosine", "epochs": 8, "keep": "best", "then_loss": "smape", "then_from_epoch": 3},
    "the end": {"schedule": "constant", "epochs": 40, "keep": "best", "early_stopping_patience": 2},
    "the end of a cosine": {
        "schedule": "cosine",
        "epochs": 40,
        "keep": "best",
        "early_stopping_patience": 1,
        "learning_rate": 0.3,
    },
    "the rate": {"schedule": "plateau", "epochs": 12, "plateau_patience": 0, "learning_rate": 0.3},
}

Evaluate = Callable[..., Checkpoint]


@pytest.fixture
def evaluate(tiny_variant: Callable[..., VariantParameters]) -> Evaluate:
    """A function that trains on the train rows of a split, and calibrates on validation rows."""

    def trained(labelled: LabelledData, **train: Any) -> Checkpoint:
        variant = tiny_variant(**({"learning_rate": 0.01, "ema_decay": 0.9, "batch_size": 16} | train))
        roles = roles_of_split(labelled.samples, labelled.split_table, selects=variant.train.selects, seed=4)
        data = training_data(labelled.samples, labelled.split_table, labelled.tables, "cpu", roles=roles)
        checkpoint = train_variant("tiny", variant, data, seed=9, run=None, quiet=True).checkpoint
        return calibrated(checkpoint, labelled.samples, roles.calibrate, labelled.tables, (0.8,))

    return trained


@pytest.fixture
def labelled(make_labelled: Callable[..., LabelledData]) -> LabelledData:
    """Products of which half are train rows."""
    return make_labelled(120, fractions=(0.5, 0.3, 0.2))


def held_out(labelled: LabelledData) -> np.ndarray:
    return (labelled.split_table["split"] == "holdout").to_numpy()


def with_other_holdout(labelled: LabelledData) -> LabelledData:
    """The same with other prices of the holdout."""
    prices = labelled.samples["price"]
    samples = labelled.samples.assign(price=prices.mask(held_out(labelled), prices * 3))
    return replace(labelled, samples=samples)


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    return all(torch.equal(values, other.weights[name]) for name, values in one.weights.items())


@pytest.mark.parametrize("selects", SELECTING)
def test_it_takes_the_steps_of_the_evaluated_training_on_all_rows(
    selects: str, evaluate: Evaluate, labelled: LabelledData, tmp_path: Path
) -> None:
    evaluated = evaluate(labelled, **SELECTING[selects])
    final = final_checkpoint(evaluated, labelled, WHERE, RunFolder(tmp_path))
    was, training = evaluated.header.training, final.header.training
    assert was is not None
    assert training is not None
    assert training == was.model_copy(update={"rows": len(labelled.samples)})
    assert was.rows == was.epoch_rows == (labelled.split_table["split"] == "train").sum()
    assert was.steps == evaluated.header.epoch * -(-was.rows // 16)
    assert final.header.epoch == evaluated.header.epoch
    assert (evaluated.header.epoch < evaluated.header.train.epochs) == (selects in ("the end", "the end of a cosine"))
    assert final.header.validation == {}
    assert final.calibration is evaluated.calibration
    assert final.header.price_scale.unit == evaluated.header.price_scale.unit
    assert final.data[EVALUATED] == checkpoint_digest(evaluated)
    assert "split" not in final.data
    if evaluated.header.train.schedule != "plateau":  # whose drops are compared as part of ``training``
        rates = [Schedule(one.header.train, -(-was.rows // 16)) for one in (evaluated, final)]
        assert [rates[0].rate(step) for step in range(was.steps)] == [rates[1].rate(step) for step in range(was.steps)]


def test_where_all_rows_are_train_rows_already_it_is_the_evaluated_model(
    evaluate: Evaluate, make_labelled: Callable[..., LabelledData], tmp_path: Path
) -> None:
    labelled = make_labelled(60, fractions=(1.0, 0.0, 0.0))
    evaluated = evaluate(labelled, schedule="cosine", epochs=4, source_dropout=0.3)
    assert same_weights(final_checkpoint(evaluated, labelled, WHERE, RunFolder(tmp_path)), evaluated)


def test_it_alone_learns_from_the_holdout(evaluate: Evaluate, labelled: LabelledData, tmp_path: Path) -> None:
    other = with_other_holdout(labelled)
    evaluated = evaluate(labelled)
    assert same_weights(evaluated, evaluate(other))
    one, two = (
        final_checkpoint(evaluated, data, WHERE, RunFolder(tmp_path / name))
        for name, data in (("one", labelled), ("two", other))
    )
    assert not same_weights(one, two)
    assert (one.rows, evaluated.rows) == (120, (labelled.split_table["split"] == "train").sum())


def test_what_decides_the_weights_is_the_checkpoints_and_where_to_train_is_the_callers(
    evaluate: Evaluate, labelled: LabelledData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TrainParameters] = []
    begin = Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self: (seen.append(self.options), begin(self))[1])
    evaluated = evaluate(labelled, epochs=3, weight_decay=0.02)
    where = TrainParameters(device="cpu", epochs=99, weight_decay=0.5, state_every=7.0, cuda_graph=False)
    final_checkpoint(evaluated, labelled, where, RunFolder(tmp_path))
    taken = seen[-1]
    assert (taken.epochs, taken.weight_decay, taken.state_every, taken.cuda_graph) == (3, 0.02, 7.0, False)


def test_a_finished_one_is_not_trained_again_until_the_evaluated_model_is_another(
    evaluate: Evaluate, labelled: LabelledData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, epochs = RunFolder(tmp_path), []
    train = TrainingLoop.epoch
    monkeypatch.setattr(
        TrainingLoop, "epoch", lambda self, epoch, after: (epochs.append(epoch), train(self, epoch, after))[1]
    )
    evaluated = evaluate(labelled, epochs=3)
    first = final_checkpoint(evaluated, labelled, WHERE, run)
    epochs.clear()
    assert same_weights(final_checkpoint(evaluated, labelled, WHERE, run), first)
    assert epochs == []
    other = evaluate(labelled, epochs=3, weight_decay=0.3)
    epochs.clear()
    again = final_checkpoint(other, labelled, WHERE, run)
    assert epochs == [1, 2, 3]
    assert again.data[EVALUATED] == checkpoint_digest(other)


def test_it_goes_on_where_it_was_cut(
    evaluate: Evaluate, labelled: LabelledData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = evaluate(labelled, epochs=5, source_dropout=0.3)
    whole = final_checkpoint(evaluated, labelled, WHERE, RunFolder(tmp_path / "whole"))
    run, train, epochs = RunFolder(tmp_path / "cut"), TrainingLoop.epoch, []

    def cut(self: TrainingLoop, epoch: int, after_step: Callable[[int], None]) -> float:
        epochs.append(epoch)
        if epochs == [1, 2, 3]:
            raise KeyboardInterrupt
        return train(self, epoch, after_step)

    monkeypatch.setattr(TrainingLoop, "epoch", cut)
    where = TrainParameters(device="cpu", state_every=0.0)
    with pytest.raises(KeyboardInterrupt):
        final_checkpoint(evaluated, labelled, where, run)
    assert same_weights(final_checkpoint(evaluated, labelled, where, run), whole)
    assert epochs == [1, 2, 3, 3, 4, 5]


class PowerCutError(BaseException):
    """The process is gone."""


def test_gone_before_any_file_takes_its_name_it_ends_the_same(
    evaluate: Evaluate, labelled: LabelledData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = evaluate(labelled, epochs=4, source_dropout=0.3)
    run, where = RunFolder(tmp_path / "run"), TrainParameters(device="cpu", state_every=0.0)
    rename, left = Path.replace, [0]

    def counted(path: Path, target: Path) -> Path:
        left[0] -= 1
        if not left[0]:
            raise PowerCutError
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted)
        patch.setattr(files, "_discard", lambda _: None)  # nobody tidies up
        for renames in (1, 2, 3, 4, 9):
            left[0] = renames
            with pytest.raises(PowerCutError):
                final_checkpoint(evaluated, labelled, where, run)
    assert any(path.suffix == ".partial" for path in run.path.iterdir())
    undisturbed = RunFolder(tmp_path / "undisturbed")
    for one in (run, undisturbed):
        save_checkpoint(one.path / "final", final_checkpoint(evaluated, labelled, WHERE, one))
    assert (run.path / "final").read_bytes() == (undisturbed.path / "final").read_bytes()


def test_a_damaged_state_is_no_obstacle(evaluate: Evaluate, labelled: LabelledData, tmp_path: Path) -> None:
    run, evaluated = RunFolder(tmp_path), evaluate(labelled)
    first = final_checkpoint(evaluated, labelled, WHERE, run)
    for state in run.states:
        state.write_bytes(b"price-fusion state 1\n")
    assert same_weights(final_checkpoint(evaluated, labelled, WHERE, run), first)


def test_where_its_last_state_is_damaged_the_one_before_it_stands_in(
    evaluate: Evaluate, labelled: LabelledData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, evaluated = RunFolder(tmp_path), evaluate(labelled, epochs=3)
    where = TrainParameters(device="cpu", state_every=0.0)
    first = final_checkpoint(evaluated, labelled, where, run)
    run.state.write_bytes(run.state.read_bytes()[:-1])
    caplog.clear()
    assert same_weights(final_checkpoint(evaluated, labelled, where, run), first)
    assert "damaged state" in caplog.text
    assert f"going on from the one before it, {run.states[1]}" in caplog.text


def test_a_training_of_other_data_is_not_repeated(evaluate: Evaluate, labelled: LabelledData, tmp_path: Path) -> None:
    evaluated, run = evaluate(labelled), RunFolder(tmp_path)
    swapped = labelled.split_table.assign(split=labelled.split_table["split"].to_numpy()[::-1])
    for other, named in (
        (replace(labelled, split_table=swapped), "samples, split changed"),
        (replace(labelled, samples=labelled.samples.assign(price=lambda table: table["price"] + 1)), "samples changed"),
    ):
        with pytest.raises(ComparisonError, match=rf"tiny.*{named} since.*train_tiny.*final_fit=false"):
            final_checkpoint(evaluated, other, WHERE, run)
    of_before = replace(
        evaluated, header=evaluated.header.model_copy(update={"data": evaluated.data | {"words": "0f"}})
    )
    with pytest.raises(ComparisonError, match=r"words changed since \(or the model is of an earlier version"):
        final_checkpoint(of_before, labelled, WHERE, run)


def test_a_checkpoint_of_version_0_1_is_not_repeated(
    evaluate: Evaluate, labelled: LabelledData, tmp_path: Path
) -> None:
    evaluated = evaluate(labelled)
    old = replace(evaluated, header=evaluated.header.model_copy(update={"training": None}))
    with pytest.raises(CheckpointError, match=r"does not note how many steps.*train_tiny.*final_fit=false"):
        final_checkpoint(old, labelled, WHERE, RunFolder(tmp_path))


@pytest.fixture
def ensemble(labelled: LabelledData, tiny_variant: Callable[..., VariantParameters], tmp_path: Path) -> Ensemble:
    """A variant of two refits that select their epoch, and ridge; both have a weight."""
    variant = tiny_variant(epochs=4, batch_size=16, learning_rate=0.01, keep="best")
    models = [
        cross_validate_variant(variant, labelled, FoldFolder("net", tmp_path / "net"), seeds=1, seed=7, refits=2),
        cross_validate_estimator(
            "ridge",
            labelled,
            FoldFolder("ridge", tmp_path / "ridge"),
            options=ComparisonParameters(),
            seed=7,
            refit=True,
        ),
    ]
    draft = build_ensemble(
        [OutOfFold(one, out_of_fold(one, labelled)) for one in models],
        method="convex",
        sources={name: table.declaration for name, table in labelled.tables.items()},
        dtypes={name: table.dtype for name, table in labelled.tables.items()},
        data=data_fingerprints(labelled.samples, labelled.split_table, labelled.tables),
        rows=int((~held_out(labelled)).sum()),
    )
    members = tuple(
        member.model_copy(update={"weight": 0.5, "models": tuple(f"{one.name}-{model.file}" for model in one.final)})
        for one in models
        for member in draft.manifest.members
        if member.name == one.name
    )
    paths = {f"{one.name}-{model.file}": one.path_of(model) for one in models for model in one.final}
    manifest = draft.manifest.model_copy(update={"members": members})
    save_ensemble(tmp_path / "ensemble", replace(draft, manifest=manifest, models=paths))
    return load_ensemble(tmp_path / "ensemble")


def fitted(ensemble: Ensemble, labelled: LabelledData, home: Path) -> Ensemble:
    """Its final fit."""
    folders = {name: FoldFolder(name, home / name / "final") for name in ("net", "ridge", "without weight")}
    draft = fit_ensemble(ensemble, labelled, folders, {"net": WHERE}, ComparisonParameters())
    save_ensemble(home / "ensemble_final", draft)
    return load_ensemble(home / "ensemble_final")


def test_the_models_of_an_ensemble_are_repeated_and_its_weights_stay(
    ensemble: Ensemble, labelled: LabelledData, tmp_path: Path
) -> None:
    final = fitted(ensemble, labelled, tmp_path)
    assert [(one.name, one.weight, one.models) for one in final.members] == [
        (one.name, one.weight, one.models) for one in ensemble.members
    ]
    assert (ensemble.rows, final.rows) == ((~held_out(labelled)).sum(), len(labelled.samples))
    assert final.data[EVALUATED] == ensemble.digest
    assert final.calibration is not None
    assert ensemble.calibration is not None
    np.testing.assert_array_equal(final.calibration.residuals, ensemble.calibration.residuals)
    assert len(final.manifest.sha256) == len(ensemble.manifest.sha256)
    assert all(
        final.manifest.sha256[name] != digest for name, digest in ensemble.manifest.sha256.items() if "all-rows" in name
    )


def test_models_of_an_ensemble_that_are_there_are_kept_until_a_price_changes(
    ensemble: Ensemble, labelled: LabelledData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, trained = fitted(ensemble, labelled, tmp_path), []
    train = Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self: (trained.append(self.judged.seed), train(self))[1])
    assert fitted(ensemble, labelled, tmp_path).digest == before.digest
    assert trained == []
    assert fitted(ensemble, with_other_holdout(labelled), tmp_path).digest != before.digest
    assert trained == [7, 8]


def test_an_ensemble_of_another_preset_is_refused(ensemble: Ensemble, labelled: LabelledData, tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match=r"has the member\(s\) ridge.*ensemble\.preset"):
        fit_ensemble(ensemble, labelled, {"net": FoldFolder("net", tmp_path)}, {"net": WHERE}, ComparisonParameters())
    of_folds = [
        member.model_copy(update={"models": tuple(file.replace("all-rows", "fold-0") for file in member.models)})
        for member in ensemble.manifest.members
    ]
    without_refits = replace(ensemble, manifest=ensemble.manifest.model_copy(update={"members": tuple(of_folds)}))
    with pytest.raises(ComparisonError, match="models of folds alone"):
        fitted(without_refits, labelled, tmp_path)


def test_an_estimator_is_refitted_where_options_that_decide_it_are_others(
    ensemble: Ensemble, labelled: LabelledData, tmp_path: Path
) -> None:
    folders = {name: FoldFolder(name, tmp_path / name) for name in ("net", "ridge", "without weight")}
    recipes = []
    for options in (
        ComparisonParameters(),
        ComparisonParameters(boosting_threads=3),
        ComparisonParameters(kernel_memory_gb=0.5),
    ):
        fit_ensemble(ensemble, labelled, folders, {"net": WHERE}, options)
        recipes.append(folders["ridge"].read().models[0].recipe)
    assert recipes[0] == recipes[1] != recipes[2]
