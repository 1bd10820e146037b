"""A run that was stopped anywhere and resumed ends as if nothing had happened, to the bit."""

from __future__ import annotations

import copy
import logging
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from price_fusion.compute import interruption
from price_fusion.errors import StorageError, TrainingError
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.loop import TrainingLoop
from price_fusion.training.resume import same_run, state
from price_fusion.training.resume.run_states import RunStates
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import Trainer
from price_fusion.training.training_run import Trained
from support.problem import fit, make_data, smapes, variant

STEPS = 5
"""A batch of 64 from 300 train rows."""
LIVELY = {"epochs": 7, "ema_decay": 0.9, "source_dropout": 0.3, "plateau_patience": 0, "early_stopping_patience": None}
"""All that a state can hold is in motion: averages, random numbers, and a learning rate that drops."""


class PowerCutError(Exception):
    """The process is gone."""


@contextmanager
def cut_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End a training once it has taken so many steps, after what it does between steps."""
    after_step = Trainer._after_step

    def counted(self: Trainer, products: int) -> None:
        after_step(self, products)
        if self.loop.progress.step >= steps:
            raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", counted)
        with pytest.raises(PowerCutError):
            yield


def same(one: Trained, other: Trained) -> bool:
    """Whether two runs ended the same, to the bit, but for the time they took."""
    histories = [[{k: v for k, v in record.items() if k != "seconds"} for record in t.history] for t in (one, other)]
    return (
        histories[0] == histories[1]
        and one.checkpoint.header == other.checkpoint.header
        and all(torch.equal(w, other.checkpoint.weights[name]) for name, w in one.checkpoint.weights.items())
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return fit(tmp_path_factory.mktemp("whole"), variant("mixture", **LIVELY))


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6, 17, 30, 34, 35])
def test_a_run_cut_anywhere_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Trained, steps: int
) -> None:
    with cut_after(steps, monkeypatch):
        fit(tmp_path, variant("mixture", state_every=0, **LIVELY))
    assert same(fit(tmp_path, variant("mixture", resume=True, **LIVELY)), uninterrupted)


def test_a_run_cut_between_saves_goes_back_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Trained
) -> None:
    with cut_after(3 * STEPS + 2, monkeypatch):
        fit(tmp_path, variant("mixture", state_every=1e9, **LIVELY))
    assert same(fit(tmp_path, variant("mixture", resume=True, **LIVELY)), uninterrupted)


def test_a_run_cut_again_and_again_ends_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Trained
) -> None:
    for steps in range(2, 35, 3):
        with cut_after(steps, monkeypatch):
            fit(tmp_path, variant("mixture", resume=True, state_every=0, **LIVELY))
    assert same(fit(tmp_path, variant("mixture", resume=True, **LIVELY)), uninterrupted)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosine", "keep": "last", "warmup_epochs": 1.5},
        {"schedule": "constant", "keep": "best"},
        {"loss": "mse", "then_loss": "smape", "then_from_epoch": 3},
        {"precision": "bf16"},
    ],
)
@pytest.mark.parametrize("window", [None, 90])
def test_every_way_of_training_can_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], window: int | None
) -> None:
    data = replace(make_data(), window_products=window)
    options = {"epochs": 4, "early_stopping_patience": None} | options
    whole = fit(tmp_path / "whole", variant(**options), data=data)
    with cut_after(2 * STEPS + 3, monkeypatch):
        fit(tmp_path / "parts", variant(state_every=0, **options), data=data)
    assert same(fit(tmp_path / "parts", variant(resume=True, **options), data=data), whole)


def without(part: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """What a loader would do that forgets a part: the values of a fresh run stay in its place."""

    def forget(parts: dict[str, Any], fresh: dict[str, Any]) -> None:
        *folders, name = part.split(".")
        for folder in folders:
            parts, fresh = parts[folder], fresh[folder]
        parts[name] = fresh[name]

    return forget


PARTS = (
    "weights.values",
    "weights.average",
    "weights.steps",
    "weights.optimizer",
    "schedule.factor",
    "schedule.best",
    "schedule.stale",
    "progress.epoch",
    "progress.step",
    "progress.best_epoch",
    "progress.best_smape",
    "progress.history",
    "progress.products",
    "progress.first_step",
    "loss_sum",
    "shuffler",
    "random",
    "kept",
)


@dataclass(frozen=True)
class Cut:
    """A training that was cut, and the same one whole.

    Attributes:
        options: of the training.
        data: of the training.
        whole: as it ended.
        folder: of the one that was cut.
        fresh: what a run starts with.
    """

    options: dict[str, Any]
    data: TrainingData
    whole: Trained
    folder: Path
    fresh: dict[str, Any]


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Cut]:
    """A function that gives a training with a schedule, cut in the tenth epoch; made once for each."""

    @cache
    def make(schedule: str) -> Cut:
        # So fast that the best epoch is the second, and that the rate drops before and after the cut in the tenth.
        options = LIVELY | {"epochs": 12, "learning_rate": 0.4, "plateau_patience": 2, "schedule": schedule}
        parameters, data, folder = (
            variant("mixture", state_every=0, **options),
            make_data(),
            tmp_path_factory.mktemp("cut"),
        )
        whole = fit(folder / "whole", parameters, data=data)
        with pytest.MonkeyPatch.context() as patch, cut_after(9 * STEPS + 2, patch):
            fit(folder / "parts", parameters, data=data)
        with pytest.MonkeyPatch.context() as patch, cut_after(0, patch):
            fit(folder / "fresh", parameters, data=data)
        loaded = state.load_state(RunFolder(folder / "fresh").states, torch.device("cpu"))
        assert loaded is not None
        return Cut(options, data, whole, folder / "parts", initial(loaded[2]))

    return make


@pytest.mark.parametrize("part", PARTS)
def test_leaving_out_any_part_of_the_state_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, cut: Callable[[str], Cut]
) -> None:
    """The tests above have teeth: what they compare depends on every part that is saved."""
    training = cut("cosine" if part in ("progress.step", "progress.first_step") else "plateau")
    shutil.copytree(training.folder, tmp_path / "parts")
    load = RunStates._load

    def load_without(self: RunStates, parts: dict[str, Any]) -> None:
        without(part)(parts, copy.deepcopy(training.fresh))
        load(self, parts)

    monkeypatch.setattr(RunStates, "_load", load_without)
    forgetful = fit(tmp_path / "parts", variant("mixture", resume=True, **training.options), data=training.data)
    assert not same(forgetful, training.whole)


def initial(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts that a run starts with, from those after its first step."""
    progress = {"epoch": 0, "step": 0, "best_epoch": 0, "best_smape": float("inf"), "history": [], "products": 0}
    return parts | {
        "progress": parts["progress"] | progress | {"first_step": 0},
        "schedule": {"factor": 1.0, "best": float("inf"), "stale": 0},
        "weights": parts["weights"] | {"steps": 0},
        "loss_sum": torch.zeros(()),
        "kept": None,
    }


def test_training_draws_from_no_other_generator(tmp_path: Path) -> None:
    """Python's and numpy's generators need not be saved: training leaves them as they are."""
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one is what is asked about
    fit(tmp_path, variant(epochs=2, **{k: v for k, v in LIVELY.items() if k != "epochs"}))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_resuming_a_finished_run_trains_nothing(tmp_path: Path) -> None:
    first = fit(tmp_path, variant(epochs=3))
    again = fit(tmp_path, variant(epochs=3, resume=True))
    assert again.history == first.history


def test_more_epochs_than_before_train_on(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", variant(epochs=8, ema_decay=0.9))
    fit(tmp_path / "parts", variant(epochs=3, ema_decay=0.9))
    assert same(fit(tmp_path / "parts", variant(epochs=8, ema_decay=0.9, resume=True)), whole)


def test_resuming_with_another_configuration_names_the_differences(tmp_path: Path) -> None:
    fit(tmp_path, variant(epochs=2))
    with pytest.raises(TrainingError) as caught:
        fit(
            tmp_path,
            variant(epochs=4, resume=True, learning_rate=0.5),
            data=replace(make_data(), fingerprints={"a": "z"}),
        )
    for words in ("train.learning_rate: was 0.001, is 0.5", "data.a: was 'x', is 'z'", "v.train.resume=anyway"):
        assert words in str(caught.value)


def test_other_code_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path, variant(epochs=2))
    monkeypatch.setattr(same_run, "code_digest", lambda: "another")
    with pytest.raises(TrainingError, match=r"code: was '\w+', is 'another'"):
        fit(tmp_path, variant(epochs=4, resume=True))


def test_told_to_it_goes_on_with_another_configuration_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(tmp_path, variant(epochs=2))
    with caplog.at_level(logging.WARNING):
        trained = fit(tmp_path, variant(epochs=4, resume="anyway", learning_rate=0.5))
    assert len(trained.history) == 4
    assert "train.learning_rate: was 0.001, is 0.5" in caplog.text


def test_a_state_of_another_model_is_refused_even_then(tmp_path: Path) -> None:
    fit(tmp_path, variant(epochs=2))
    with pytest.raises(TrainingError, match=r"state\.bin: does not fit the model of 'v'"):
        fit(tmp_path, variant("mixture", epochs=4, resume="anyway"))


def test_a_cosine_over_more_epochs_is_another_one(tmp_path: Path) -> None:
    fit(tmp_path, variant(epochs=2, schedule="cosine"))
    with pytest.raises(TrainingError, match=r"train\.epochs: was 2, is 4"):
        fit(tmp_path, variant(epochs=4, schedule="cosine", resume=True))


def test_resuming_nothing_starts_afresh_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        trained = fit(tmp_path, variant(epochs=2, resume=True))
    assert len(trained.history) == 2
    assert "no state to resume" in caplog.text


def test_a_fresh_training_keeps_the_state_of_an_unfinished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, uninterrupted: Trained
) -> None:
    run = RunFolder(tmp_path)
    with cut_after(12, monkeypatch):
        fit(tmp_path, variant("mixture", state_every=0, **LIVELY))
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, variant(epochs=2))
        fit(tmp_path, variant(epochs=2))  # that one was finished: nothing more to keep
    assert caplog.text.count("an unfinished training, stopped in epoch 3, is set aside") == 1
    assert f"Its state is kept as {run.unfinished}; to go on with it after all, name it state.bin again" in caplog.text
    run.unfinished.replace(run.state)
    assert same(fit(tmp_path, variant("mixture", resume=True, **LIVELY)), uninterrupted)


def test_a_damaged_state_gives_way_to_the_one_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, uninterrupted: Trained
) -> None:
    with cut_after(12, monkeypatch):
        fit(tmp_path, variant("mixture", state_every=0, **LIVELY))
    last, before = RunFolder(tmp_path).states
    last.write_bytes(last.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        resumed = fit(tmp_path, variant("mixture", resume=True, **LIVELY))
    assert f"{last}: damaged state" in caplog.text
    assert f"going on from the one before it, {before}" in caplog.text
    assert same(resumed, uninterrupted)


def test_damaged_states_are_named(tmp_path: Path) -> None:
    fit(tmp_path, variant(epochs=3, state_every=0))
    for path in RunFolder(tmp_path).states:
        contents = bytearray(path.read_bytes())
        contents[len(contents) // 2] ^= 1
        path.write_bytes(contents)
    with pytest.raises(TrainingError, match=r"state\.bin: damaged state .*state\.previous\.bin: damaged state"):
        fit(tmp_path, variant(epochs=4, resume=True))


def test_a_state_of_another_format_is_named(tmp_path: Path) -> None:
    payload = b"whatever"
    for path in RunFolder(tmp_path).states:
        magic = b"price-fusion state 9"
        path.write_bytes(magic + b"\n" + state._digest(magic, payload) + b"\n" + payload)
    with pytest.raises(TrainingError, match=r"found 'price-fusion state 9', this program reads 'price-fusion state"):
        fit(tmp_path, variant(resume=True))


def test_a_signal_saves_the_state_and_ends_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    uninterrupted: Trained,
) -> None:
    take = TrainingLoop.take

    def ask_in_the_third_epoch(self: TrainingLoop, *arguments: Any) -> None:
        take(self, *arguments)
        if self.progress.step == 2 * STEPS + 1:
            assert interruption.ask(signal.SIGTERM)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(TrainingLoop, "take", ask_in_the_third_epoch)
        with pytest.raises(interruption.Interruption) as caught:
            fit(tmp_path, variant("mixture", **LIVELY))
    assert caught.value.code == 143
    assert "stopped by SIGTERM in epoch 3, after 128 of its 300 products" in caplog.text
    assert "v.train.resume=true" in capfd.readouterr().err
    assert same(fit(tmp_path, variant("mixture", resume=True, **LIVELY)), uninterrupted)


def test_a_state_that_cannot_be_written_leaves_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with cut_after(12, monkeypatch):
        fit(tmp_path, variant(epochs=4, state_every=0))
    before = RunFolder(tmp_path).state.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("price_fusion.storage.files.sync", full)
        with pytest.raises(StorageError, match=r"No space left on device; .* GB free on its disk"):
            fit(tmp_path, variant(epochs=4, resume=True, state_every=0))
    assert before in [path.read_bytes() for path in RunFolder(tmp_path).states if path.exists()]
    whole = fit(tmp_path / "whole", variant(epochs=4))
    assert same(fit(tmp_path, variant(epochs=4, resume=True)), whole)


def test_a_run_folder_that_is_removed_while_training_runs_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Trained
) -> None:
    run, after_step = RunFolder(tmp_path / "run"), Trainer._after_step

    def removed_once(self: Trainer, products: int) -> None:
        after_step(self, products)
        if self.loop.progress.step == 12:
            shutil.rmtree(run.path)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", removed_once)
        whole = fit(run.path, variant("mixture", state_every=0, **LIVELY))
    assert same(whole, uninterrupted)
    assert same(fit(run.path, variant("mixture", resume=True, **LIVELY)), uninterrupted)


@pytest.mark.parametrize("steps", [3, 11])
def test_a_loss_that_is_no_number_stops_before_the_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    data = replace(make_data(), ids=np.array([f"p{row}" for row in range(400)]))
    with cut_after(steps, monkeypatch):
        fit(tmp_path / "good", variant(state_every=0), data=data)
    spoilt = make_data().prices.clone()
    trained_on: list[int] = []
    take = TrainingLoop.take

    def spoil(self: TrainingLoop, stretch: Any, loss: Any, rows: torch.Tensor) -> None:
        if self.progress.step == steps:
            trained_on.extend(rows.tolist())
            spoilt[rows[5]] = float("nan")
            stretch = stretch._replace(prices=spoilt)
        take(self, stretch, loss, rows)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "take", spoil)
        with pytest.raises(TrainingError) as caught:
            fit(tmp_path / "bad", variant(state_every=0), data=data)
    message = str(caught.value)
    assert (
        f"the loss became nan, or its gradient NaN or infinite, in epoch {steps // STEPS + 1}, step {steps}" in message
    )
    assert f"learning rate 0.001), on the products p{trained_on[0]}, p{trained_on[1]}" in message
    assert "v.train.learning_rate" in message
    batch = (tmp_path / "bad" / "not_finite.json").read_text()
    assert all(f'"p{row}"' in batch for row in trained_on)
    # The state before it is that of a run that was cut there.
    states = [state.load_state(RunFolder(tmp_path / name).states, torch.device("cpu")) for name in ("good", "bad")]
    good, bad = (one[2]["weights"]["values"] for one in states if one is not None)
    assert torch.equal(good, bad)


def test_memory_for_half_a_batch_only_trains_all_of_it_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = fit(tmp_path / "plain", variant(epochs=3, source_dropout=0.0))
    batch = type(make_data().features).batch

    def small_device(self: Any, index: torch.Tensor, *arguments: Any) -> Any:
        if torch.is_grad_enabled() and len(index) > 20:
            raise torch.OutOfMemoryError("tried to allocate 80.00 GiB")
        return batch(self, index, *arguments)

    monkeypatch.setattr(type(make_data().features), "batch", small_device)
    with caplog.at_level(logging.WARNING):
        halved = fit(tmp_path / "halved", variant(epochs=3, source_dropout=0.0))
    assert "no memory for 64 products at a time" in caplog.text
    assert "going on with 16 at a time, 64 a step as before" in caplog.text
    assert [record["micro_batch"] for record in halved.history] == [16, 16, 16]
    assert "micro_batch" not in plain.history[0]
    # Dropout draws otherwise; the steps are as many and as large.
    assert smapes(halved) == pytest.approx(smapes(plain), rel=0.05)


def test_a_device_without_memory_for_one_product_ends_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_device(self: Any, index: torch.Tensor, *arguments: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate 80.00 GiB")

    monkeypatch.setattr(type(make_data().features), "batch", no_device)
    with pytest.raises(TrainingError, match=r"out of memory .*v\.train\.batch_size"):
        fit(tmp_path, variant(epochs=3))
