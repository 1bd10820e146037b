"""Training on a small synthetic problem."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from price_fusion.errors import TrainingError
from price_fusion.models.checkpoint import load_checkpoint
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.step.source_dropout import hide_sources
from price_fusion.training.step.weights import FlatWeights
from price_fusion.training.trainer import Trainer
from support.problem import fit, make_data, smapes, variant


def test_training_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    trained = fit(tmp_path, variant(epochs=40, learning_rate=3e-3))
    best = min(trained.history, key=lambda record: record["smape"])
    assert best["smape"] < 0.7 * trained.history[0]["smape"]
    assert trained.checkpoint.header.epoch == best["epoch"]
    assert trained.checkpoint.header.validation["smape"] == best["smape"]
    assert json.loads((tmp_path / "history.json").read_text()) == trained.history


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, second, other = (fit(tmp_path, variant(), seed=seed) for seed in (1, 1, 2))
    for name, weight in first.checkpoint.weights.items():
        assert torch.equal(weight, second.checkpoint.weights[name])
    assert smapes(first) == smapes(second) != smapes(other)


def test_training_ends_after_so_many_epochs_without_a_better_one(tmp_path: Path) -> None:
    trained = fit(tmp_path, variant(epochs=200, learning_rate=3e-2, early_stopping_patience=4))
    assert len(trained.history) == trained.checkpoint.header.epoch + 4


def test_periodic_checkpoints_are_kept(tmp_path: Path) -> None:
    fit(tmp_path, variant(epochs=6, checkpoint_every=2))
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == [
        f"epoch-{epoch:04d}.safetensors" for epoch in (2, 4, 6)
    ]


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_last_epoch_is_kept_whatever_the_validation_says(tmp_path: Path, ema_decay: float) -> None:
    options = {"ema_decay": ema_decay, "checkpoint_every": 1, "early_stopping_patience": None}
    data = make_data()
    alike = data.prices.clone()
    alike[data.validation] = data.prices[data.train].median()  # where training starts: each epoch leads away from it
    trained = fit(tmp_path, variant(epochs=12, keep="last", **options), data=replace(data, prices=alike))
    header = trained.checkpoint.header
    assert len(trained.history) == header.epoch == 12
    assert min(smapes(trained)) < smapes(trained)[-1] == header.validation["smape"]  # another epoch was better
    last = load_checkpoint(tmp_path / "epoch-0012.safetensors")
    kept = load_checkpoint(tmp_path / "kept.safetensors")
    # As text: R2 of rows of one price is NaN.
    assert len({checkpoint.header.model_dump_json() for checkpoint in (kept, last, trained.checkpoint)}) == 1
    for name, weight in trained.checkpoint.weights.items():
        assert torch.equal(weight, last.weights[name])
        assert torch.equal(weight, kept.weights[name])


def test_the_average_that_is_kept_is_that_of_the_weights_of_all_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: the mean of the first two steps fills the window, then half of it and half of the weights of each step."""
    name = "head.output.bias"
    seen: list[torch.Tensor] = []
    average = FlatWeights.add_to_average

    def noting(self: FlatWeights) -> None:
        average(self)
        seen.append(dict(trainer.model.named_parameters())[name].detach().clone())

    monkeypatch.setattr(FlatWeights, "add_to_average", noting)
    parameters = variant(epochs=3, keep="last", ema_decay=0.5, schedule="cosine", early_stopping_patience=None)
    trainer = Trainer("v", parameters, make_data(), seed=1, run=RunFolder(tmp_path))
    trained = trainer.train()
    assert len(seen) == 3 * 5  # ceil(300 / 64)
    expected = seen[0]
    for weight in seen[1:]:
        expected = (expected + weight) / 2
    torch.testing.assert_close(trained.checkpoint.weights[name], expected)


def test_without_patience_training_goes_on_to_its_last_epoch(tmp_path: Path) -> None:
    trained = fit(tmp_path, variant(epochs=25, learning_rate=3e-2, early_stopping_patience=None))
    assert len(trained.history) == 25
    assert trained.checkpoint.header.epoch < 25


def test_without_validation_rows_all_epochs_train_as_they_would_with_some(tmp_path: Path) -> None:
    options = {"schedule": "cosine", "keep": "last", "early_stopping_patience": None}
    data = make_data()
    watched = fit(tmp_path / "watched", variant(**options))
    trained = fit(tmp_path / "alone", variant(**options), data=replace(data, validation=data.validation[:0]))
    assert [list(record) for record in trained.history] == [["epoch", "loss", "learning_rate", "seconds"]] * 6
    assert trained.checkpoint.header.validation == {}
    assert trained.checkpoint.header.epoch == 6
    for name, weight in watched.checkpoint.weights.items():
        assert torch.equal(weight, trained.checkpoint.weights[name])


@pytest.mark.parametrize(
    "options",
    [{"keep": "best"}, {"schedule": "plateau"}, {"early_stopping_patience": 3}],
    ids=lambda one: next(iter(one)),
)
def test_what_selects_needs_validation_rows(tmp_path: Path, options: dict[str, Any]) -> None:
    data = make_data()
    nothing = {"schedule": "cosine", "keep": "last", "early_stopping_patience": None}
    with pytest.raises(TrainingError, match=r"v: there are no validation rows .* v\.train\.keep"):
        fit(tmp_path, variant(**nothing | options), data=replace(data, validation=data.validation[:0]))


def test_the_second_loss_takes_over_at_its_epoch(tmp_path: Path) -> None:
    plain = fit(tmp_path, variant(loss="mse"))
    phased = fit(tmp_path, variant(loss="mse", then_loss="smape", then_from_epoch=4))
    assert smapes(plain)[:3] == smapes(phased)[:3]
    assert smapes(plain)[3:] != smapes(phased)[3:]


def test_validation_prices_do_not_reach_the_weights_of_an_epoch(tmp_path: Path) -> None:
    data = make_data()
    changed = data.prices.clone()
    changed[data.validation] *= 3
    first = fit(tmp_path, variant(epochs=1), data=data)
    second = fit(tmp_path, variant(epochs=1), data=replace(data, prices=changed))
    for name, weight in first.checkpoint.weights.items():
        assert torch.equal(weight, second.checkpoint.weights[name])


def test_hidden_sources_leave_each_product_one() -> None:
    present = torch.tensor([[True, True, False], [True, False, False]])
    batch = {
        name: SourceBatch(torch.zeros(2000, 4), torch.zeros(2000, 0), present[:, column].repeat(1000))
        for column, name in enumerate("abc")
    }
    torch.manual_seed(0)
    hidden = hide_sources(batch, 0.4)
    kept = torch.stack([source.present for source in hidden.values()])
    assert kept.any(dim=0).all()
    assert not hidden["c"].present.any()
    assert hidden["a"].present[1::2].all()  # the only source of these products
    # Of two sources, each is hidden with 0.4, but both (0.16) means neither.
    assert hidden["b"].present[0::2].float().mean() == pytest.approx(1 - 0.4 + 0.16, abs=0.05)
    assert hide_sources(batch, 0.0) is batch


def test_windows_of_features_train_as_well_as_all_of_them(tmp_path: Path) -> None:
    options = variant(epochs=25, learning_rate=3e-3)
    whole = fit(tmp_path, options)
    windowed = fit(tmp_path, options, data=replace(make_data(), window_products=90))
    assert min(smapes(windowed)) < 1.15 * min(smapes(whole))


def test_a_device_out_of_memory_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(self: Trainer) -> None:
        raise torch.OutOfMemoryError("tried to allocate 80.00 GiB")

    monkeypatch.setattr(Trainer, "train", run_out)
    with pytest.raises(
        TrainingError, match=r"out of memory .*v\.train\.batch_size \(now 64\) or v\.train\.features_gb"
    ):
        fit(tmp_path, variant())


@pytest.mark.gpu
def test_a_recorded_step_trains_like_one_that_is_not(tmp_path: Path) -> None:
    device = torch.device("cuda")
    data = make_data()
    moved = replace(
        data,
        features=data.features.to(device),
        **{name: getattr(data, name).to(device) for name in ("prices", "train", "validation")},
        device=device,
    )
    options = {"epochs": 4, "device": "cuda", "ema_decay": 0.9}
    eager = fit(tmp_path, variant(cuda_graph=False, **options), data=moved)
    recorded = fit(tmp_path, variant(cuda_graph=True, **options), data=moved)
    assert smapes(recorded) == pytest.approx(smapes(eager), rel=1e-2)


def test_a_model_no_better_than_the_median_price_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, variant(epochs=40, learning_rate=3e-3))
        assert "nothing was learnt" not in caplog.text
        data = make_data()
        alike = data.prices.clone()
        alike[data.validation] = data.prices[data.train].median()  # nothing beats the median here
        fit(tmp_path, variant(epochs=2), data=replace(data, prices=alike))
    assert "nothing was learnt" in caplog.text


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_weights_that_are_no_numbers_end_the_training(tmp_path: Path, ema_decay: float) -> None:
    """Also where no validation row would show it."""
    data = make_data()
    options = {"keep": "last", "schedule": "constant", "early_stopping_patience": None, "ema_decay": ema_decay}
    runaway = variant(epochs=1, weight_decay=1e43, batch_size=300, **options)
    with pytest.raises(TrainingError, match=r"v: after epoch 1 .* v\.train\.weight_decay \(now 1e\+43\)"):
        fit(tmp_path, runaway, data=replace(data, validation=data.validation[:0]))
    assert not list(tmp_path.glob("**/*.safetensors"))
