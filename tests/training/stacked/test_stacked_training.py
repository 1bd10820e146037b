"""Members trained together end as they would one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from price_fusion.errors import TrainingError
from price_fusion.models.build import PriceModel
from price_fusion.models.checkpoint import load_checkpoint, save_checkpoint
from price_fusion.models.features import Features, SourceFeatures
from price_fusion.models.losses import LOSSES
from price_fusion.models.scoring import score
from price_fusion.parameters import ColumnSourceParameters, LossName, Source, SourceParameters, VariantParameters
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.stacked.members import Member
from price_fusion.training.stacked.stacked_model import with_torch_dropout
from price_fusion.training.stacked.stacked_training import StackedTrainer, train_stacked
from price_fusion.training.trainer import train_variant
from price_fusion.training.training_run import Trained

ROWS = 360
SOURCES: dict[str, Source] = {
    "a": SourceParameters(width=10, group="image"),
    "b": SourceParameters(width=11, group="text", structural_columns=3),
    "c": SourceParameters(width=7, group="image"),
    "d": ColumnSourceParameters(
        kind="columns",
        group="facts",
        numeric=("weight", "pack"),
        categorical=("kind", "shape"),
        vocabulary={"kind": ("x", "y", "z"), "shape": ("flat",)},
        bins=4,
    ),
    "e": ColumnSourceParameters(kind="columns", group="facts", numeric=("weight",), encoding="periodic", frequencies=3),
}
COMPOSITIONS: dict[str, dict[str, Any]] = {
    "two_branch": {"sources": ["a", "b"], "fusion": {"kind": "concat"}, "head": {"kind": "mlp"}},
    "moe": {"sources": ["a", "b"], "fusion": {"kind": "attention", "heads": 2}, "head": {"kind": "mixture"}},
    "hierarchical": {
        "sources": ["a", "b", "c"],
        "fusion": {"kind": "hierarchical", "heads": 2},
        "head": {"kind": "mixture", "gate_hidden": 0},
    },
    "columns": {
        "sources": ["a", "d", "e"],
        "fusion": {"kind": "attention", "heads": 2},
        "head": {"kind": "mlp"},
    },
}
FOLDS = 3


def make_data(device: str = "cpu") -> TrainingData:
    """Prices that depend on the first embedding columns and on a quantity whose scale drifts over the rows."""
    generator = torch.Generator().manual_seed(7)
    a, b, c = (torch.randn(ROWS, width, generator=generator) for width in (10, 8, 7))
    quantity = torch.rand(ROWS, 3, generator=generator) * torch.linspace(1, 9, ROWS)[:, None]
    prices = torch.exp(2.5 + 2.4 * a[:, 0] / a.norm(dim=1) + 0.5 * b[:, 0] + 0.1 * quantity[:, 0])
    rows = torch.arange(ROWS)
    missing = torch.where(torch.rand(ROWS, generator=generator) < 0.1, -1, rows)
    none = torch.empty(ROWS, 0)
    numbers = quantity[:, :2].clone()
    numbers[rows % 5 == 0, 0] = float("nan")
    # The third kind is in one fold and the last rows alone: others shall take it for an empty field.
    kinds = torch.where((rows % FOLDS == 0) & (rows % 4 == 0) | (rows >= 280), 3, rows % 3)
    facts = torch.cat([numbers, torch.stack([kinds, rows % 2], dim=1)], dim=1)
    tables = {"a": (a.half(), none, missing), "b": (b, quantity, rows), "c": (c, none, rows)}
    tables |= {"d": (none, facts, rows.flip(0)), "e": (none, numbers[:, :1].contiguous(), missing)}
    features = Features({name: SourceFeatures(*(part.to(device) for part in parts)) for name, parts in tables.items()})
    train, validation = rows[:280].to(device), rows[280:].to(device)
    dtypes = {"a": "float16"} | dict.fromkeys("bcde", "float32")
    fingerprints = {"a": "x"}
    return TrainingData(
        features, prices.to(device), train, validation, SOURCES, dtypes, fingerprints, torch.device(device)
    )


def variant(composition: str = "two_branch", dropout: float = 0.0, **train: Any) -> VariantParameters:
    parts = COMPOSITIONS[composition]
    fusion = parts["fusion"] | ({"dropout": dropout} if parts["fusion"]["kind"] != "concat" else {})
    return VariantParameters.model_validate(
        {
            "sources": parts["sources"],
            "model": {
                "branch": {"width": 16, "input_dropout": dropout},
                "fusion": fusion,
                "head": parts["head"] | {"hidden": [16, 8], "dropout": dropout},
            },
            # Losses whose gradient jumps, as that of log_mae does, let differences in rounding grow.
            "train": {"loss": "huber", "epochs": 4, "batch_size": 64, "precision": "float32", "learning_rate": 3e-3}
            | train,
        }
    )


def of_sources(data: TrainingData, parameters: VariantParameters) -> TrainingData:
    chosen = {name: data.features.sources[name] for name in parameters.sources}
    return replace(data, features=Features(chosen), sources={name: SOURCES[name] for name in chosen})


def of_seeds(data: TrainingData, *seeds: int) -> list[Member]:
    return [Member(seed, data.train, data.validation) for seed in seeds]


def of_folds(data: TrainingData) -> list[Member]:
    """Members of one seed whose rows are folds; all have equally many."""
    rows = torch.arange(ROWS, device=data.prices.device)
    return [Member(1, rows[rows % FOLDS != fold], rows[rows % FOLDS == fold]) for fold in range(FOLDS)]


def one_by_one(
    path: Path, parameters: VariantParameters, members: Sequence[Member], data: TrainingData
) -> list[Trained]:
    return [
        train_variant(
            "v",
            parameters,
            replace(data, train=member.train, validation=member.validation),
            seed=member.seed,
            run=RunFolder(path / str(place)),
        )
        for place, member in enumerate(members)
    ]


def predictions(trained: Trained, parameters: VariantParameters, data: TrainingData) -> torch.Tensor:
    model = PriceModel(data.sources, parameters.model)
    model.load_state_dict(trained.checkpoint.weights)
    every = torch.arange(ROWS, device=data.prices.device)
    return score(model.to(data.prices.device), data.features, every)


def history(trained: Trained, key: str) -> list[float]:
    return [record[key] for record in trained.history]


def assert_same(
    together: Sequence[Trained],
    alone: Sequence[Trained],
    parameters: VariantParameters,
    data: TrainingData,
    rtol: float = 1e-4,
) -> None:
    for mine, theirs in zip(together, alone, strict=True):
        assert [list(record) for record in mine.history] == [list(record) for record in theirs.history]
        for key in ("loss", "smape", "mae", "rmse", "r2"):
            assert history(mine, key) == pytest.approx(history(theirs, key), rel=rtol, abs=1e-6), key
        assert history(mine, "learning_rate") == history(theirs, "learning_rate")
        assert mine.checkpoint.header.epoch == theirs.checkpoint.header.epoch
        assert mine.checkpoint.header.median_price == theirs.checkpoint.header.median_price
        assert list(mine.checkpoint.weights) == list(theirs.checkpoint.weights)
        torch.testing.assert_close(
            predictions(mine, parameters, data), predictions(theirs, parameters, data), rtol=rtol, atol=1e-4
        )


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"ema_decay": 0.8},
    "plateau": {"epochs": 8, "plateau_patience": 0, "plateau_factor": 0.3, "learning_rate": 5e-3},
    "last": {"schedule": "cosine", "keep": "last", "early_stopping_patience": None, "ema_decay": 0.8},
    "cosine": {"schedule": "cosine", "warmup_epochs": 1.5, "loss": "mse", "then_loss": "smape", "then_from_epoch": 3},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_seeds_end_as_one_by_one(tmp_path: Path, composition: str, options: str) -> None:
    parameters = variant(composition, **OPTIONS[options])
    data = of_sources(make_data(), parameters)
    members = of_seeds(data, 1, 2)
    together = train_stacked("v", parameters, members, data)
    assert_same(together, one_by_one(tmp_path, parameters, members, data), parameters, data)
    if options == "plateau":
        assert any(history(trained, "learning_rate")[-1] < 5e-3 for trained in together)
        assert len({tuple(history(trained, "learning_rate")) for trained in together}) > 1


@pytest.mark.gpu
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_seeds_end_as_one_by_one_on_a_gpu(tmp_path: Path, composition: str, options: str) -> None:
    parameters = variant(composition, **OPTIONS[options])
    data = of_sources(make_data("cuda"), parameters)
    members = of_seeds(data, 1, 2, 3)
    together = train_stacked("v", parameters, members, data)
    assert_same(together, one_by_one(tmp_path, parameters, members, data), parameters, data, rtol=1e-3)


def test_folds_end_as_one_by_one(tmp_path: Path) -> None:
    parameters = variant("moe")
    data = of_sources(make_data(), parameters)
    members = of_folds(data)
    together = train_stacked("v", parameters, members, data)
    assert_same(together, one_by_one(tmp_path, parameters, members, data), parameters, data)
    centers = {tuple(trained.checkpoint.weights["branches.b.structural_scale.center"].tolist()) for trained in together}
    assert len(centers) == FOLDS  # each from its own rows


def test_folds_of_columns_end_as_one_by_one(tmp_path: Path) -> None:
    parameters = variant("columns")
    data = of_sources(make_data(), parameters)
    members = of_folds(data)
    together = train_stacked("v", parameters, members, data)
    assert_same(together, one_by_one(tmp_path, parameters, members, data), parameters, data)
    for name in ("scale.center", "bins.starts", "bins.widths"):
        fitted = {tuple(trained.checkpoint.weights[f"branches.d.{name}"].flatten().tolist()) for trained in together}
        assert len(fitted) == FOLDS, name  # each from its own rows


NOTHING_SELECTED: dict[str, Any] = {"schedule": "cosine", "keep": "last", "early_stopping_patience": None}


def test_the_last_epoch_is_kept_whatever_the_validation_says() -> None:
    parameters = variant(epochs=6, **NOTHING_SELECTED)
    data = of_sources(make_data(), parameters)
    members = of_seeds(data, 1, 2)
    # Where training starts: each epoch leads away from it.
    alike = data.prices.clone()
    alike[data.validation] = data.prices[data.train].median()
    apart = replace(data, prices=alike)
    for trained, usual in zip(
        train_stacked("v", parameters, members, apart), train_stacked("v", parameters, members, data), strict=True
    ):
        assert trained.checkpoint.header.epoch == 6
        assert trained.checkpoint.header.validation["smape"] == history(trained, "smape")[-1]
        assert min(history(trained, "smape")) < history(trained, "smape")[-1]
        for name, weight in usual.checkpoint.weights.items():
            assert torch.equal(weight, trained.checkpoint.weights[name])


def test_without_validation_rows_members_train_as_they_would_with_some() -> None:
    parameters = variant("columns", **NOTHING_SELECTED)
    data = of_sources(make_data(), parameters)
    watched = train_stacked("v", parameters, of_seeds(data, 1, 2), data)
    none = data.validation[:0]
    members = [Member(seed, data.train, none) for seed in (1, 2)]
    for mine, theirs in zip(train_stacked("v", parameters, members, data), watched, strict=True):
        assert [list(record) for record in mine.history] == [["epoch", "loss", "learning_rate", "seconds"]] * 4
        assert (mine.checkpoint.header.validation, mine.checkpoint.header.epoch) == ({}, 4)
        for name, weight in theirs.checkpoint.weights.items():
            assert torch.equal(weight, mine.checkpoint.weights[name])
    with pytest.raises(TrainingError, match=r"v: there are no validation rows to select on\. Set v\.train\.keep"):
        train_stacked("v", variant("columns"), members, data)


def test_bf16_members_stay_close_to_one_by_one(tmp_path: Path) -> None:
    parameters = variant("moe", precision="bf16", epochs=3)
    data = of_sources(make_data(), parameters)
    members = of_seeds(data, 1, 2)
    together = train_stacked("v", parameters, members, data)
    for mine, theirs in zip(together, one_by_one(tmp_path, parameters, members, data), strict=True):
        assert history(mine, "smape") == pytest.approx(history(theirs, "smape"), rel=0.02)


def test_members_stop_early_each_for_itself(tmp_path: Path) -> None:
    parameters = variant("moe", epochs=40, early_stopping_patience=1, learning_rate=6e-3)
    data = of_sources(make_data(), parameters)
    members = of_seeds(data, 1, 2, 3)
    together = train_stacked("v", parameters, members, data)
    lengths = [len(trained.history) for trained in together]
    assert len(set(lengths)) > 1
    assert max(lengths) < 40
    assert_same(together, one_by_one(tmp_path, parameters, members, data), parameters, data)


def test_members_do_not_depend_on_each_other() -> None:
    parameters = variant(epochs=30, early_stopping_patience=1, learning_rate=6e-3, ema_decay=0.5)
    data = of_sources(make_data(), parameters)
    members = of_seeds(data, 1, 2, 3)
    together = train_stacked("v", parameters, members, data)
    again = train_stacked("v", parameters, members[::-1], data)[::-1]
    assert_same(together, again, parameters, data)
    assert_same(together[1:2], train_stacked("v", parameters, members[1:2], data), parameters, data)


def test_validation_rows_do_not_reach_the_weights_of_an_epoch() -> None:
    parameters = variant(epochs=1)
    data = of_sources(make_data(), parameters)
    members = of_folds(data)
    changed = data.prices.clone()
    changed[members[0].validation] *= 3
    first = train_stacked("v", parameters, members, data)
    second = train_stacked("v", parameters, members, replace(data, prices=changed))
    for name, weight in first[0].checkpoint.weights.items():
        assert torch.equal(weight, second[0].checkpoint.weights[name])
    assert history(first[0], "smape") != history(second[0], "smape")
    assert not torch.equal(
        first[1].checkpoint.weights["head.output.bias"], second[1].checkpoint.weights["head.output.bias"]
    )


def test_members_of_fewer_rows_set_the_length_of_an_epoch(tmp_path: Path) -> None:
    parameters = variant()
    data = of_sources(make_data(), parameters)
    members = [Member(1, data.train, data.validation), Member(2, data.train[:150], data.validation[:30])]
    trainer = StackedTrainer("v", parameters, members, data)
    long, short = trainer.train()
    assert trainer.step == 4 * 3  # ceil(150 / 64)
    assert_same([short], one_by_one(tmp_path, parameters, members[1:], data), parameters, data)
    assert history(long, "smape")[-1] < history(long, "smape")[0]


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_dropout_differs_between_members_and_training_is_repeatable(composition: str) -> None:
    parameters = variant(composition, dropout=0.3, epochs=2, source_dropout=0.2)
    data = of_sources(make_data(), parameters)
    twins = of_seeds(data, 1, 1)
    first = train_stacked("v", parameters, twins, data)
    assert history(first[0], "loss") != history(first[1], "loss")
    second = train_stacked("v", parameters, twins, data)
    for mine, theirs in zip(first, second, strict=True):
        assert history(mine, "loss") == history(theirs, "loss")


def test_checkpoints_are_whole_and_apart(tmp_path: Path) -> None:
    parameters = variant("hierarchical", epochs=1)
    data = of_sources(make_data(), parameters)
    for place, trained in enumerate(train_stacked("v", parameters, of_seeds(data, 1, 2), data)):
        path = tmp_path / f"{place}.safetensors"
        save_checkpoint(path, trained.checkpoint)
        loaded = load_checkpoint(path)
        assert loaded.header == trained.checkpoint.header
        assert loaded.header.validation["smape"] == trained.history[0]["smape"]
        for name, weight in trained.checkpoint.weights.items():
            assert torch.equal(weight, loaded.weights[name])


def test_a_loss_that_is_no_number_names_its_member() -> None:
    parameters = variant(loss="mse", epochs=2)
    data = of_sources(make_data(), parameters)
    broken = data.prices.clone()
    broken[0] = float("nan")
    members = [Member(4, data.train[1:], data.validation), Member(5, data.train[:-1], data.validation)]
    with pytest.raises(TrainingError, match=r"member with seed 5 became nan in epoch 1 .*v\.train\.learning_rate"):
        train_stacked("v", parameters, members, replace(data, prices=broken))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_members_are_those_of_each(loss: LossName) -> None:
    generator = torch.Generator().manual_seed(3)
    predicted, prices = torch.randn(3, 50, generator=generator) + 2, torch.rand(3, 50, generator=generator) * 250
    together = torch.func.vmap(LOSSES[loss])(predicted, prices)
    torch.testing.assert_close(
        together, torch.stack([LOSSES[loss](*each) for each in zip(predicted, prices, strict=True)])
    )


def test_features_that_stay_in_their_files_are_refused() -> None:
    data = make_data()
    with pytest.raises(TrainingError, match=r"not\. Raise v\.train\.features_gb, or train one by one"):
        train_stacked("v", variant(), of_seeds(data, 1), replace(data, window_products=100))


def test_a_full_device_is_named_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(trainer: StackedTrainer) -> None:
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    monkeypatch.setattr(StackedTrainer, "train", fill)
    data = of_sources(make_data(), variant())
    with pytest.raises(TrainingError, match=r"cpu is out of memory .*9 GiB.* fewer than 2 members .*\(now 64\)"):
        train_stacked("v", variant(), of_seeds(data, 1, 2), data)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (lambda data: [], "no members"),
        (lambda data: [Member(3, data.train[:0], data.validation)], "seed 3 has no rows to train on"),
    ],
)
def test_members_without_rows_are_refused(members: Callable[[TrainingData], list[Member]], message: str) -> None:
    data = make_data()
    with pytest.raises(ValueError, match=message):
        train_stacked("v", variant(), members(data), data)


def test_our_dropout_gives_way_to_that_of_torch() -> None:
    parameters = variant("moe", dropout=0.25)
    model = with_torch_dropout(PriceModel(of_sources(make_data(), parameters).sources, parameters.model))
    found = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    assert found == [0.25] * 8


def test_weights_that_are_no_numbers_end_the_training() -> None:
    parameters = variant(epochs=1, batch_size=400, weight_decay=1e40)
    data = of_sources(make_data(), parameters)
    with pytest.raises(TrainingError, match=r"v: after epoch 1 .* v\.train\.weight_decay \(now 1e\+40\)"):
        train_stacked("v", parameters, of_seeds(data, 1, 2), data)
