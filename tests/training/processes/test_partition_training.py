"""Training on partitions by this process, by several that torch's launcher starts, and by several that Ray starts."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from price_fusion.compute import interruption
from price_fusion.errors import ComputeError, TrainingError
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.training.loader.partition_data import StreamedRows
from price_fusion.training.processes.partition_training import train_partitions
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import Trainer
from price_fusion.training.training_run import Trained
from support.partitioned import Partitioned, partitioned_variant, write_partitioned

LIVELY: dict[str, Any] = {"epochs": 3, "ema_decay": 0.9, "source_dropout": 0.3, "early_stopping_patience": None}
LONG = 400
"""Epochs of a run that is not meant to end by itself."""


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory) -> Partitioned:
    return write_partitioned(tmp_path_factory.mktemp("partitions"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    """As many threads as each of two processes has here, so that bits can be compared."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:2])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    os.sched_setaffinity(0, cores)


def train(
    partitioned: Partitioned,
    folder: Path,
    processes: int = 2,
    *,
    kind: str = "local",
    retries: int = 3,
    memory_gb: float = 1e-4,
    **options: Any,
) -> Trained:
    compute = ComputeParameters.model_validate(
        {"executor": kind, "partitions": 8, "training_processes": processes, "retries": retries, "memory_gb": memory_gb}
    )
    return train_partitions(
        "v",
        partitioned_variant(**LIVELY | options),
        *partitioned,
        StreamedRows({}),
        seed=5,
        run=RunFolder(folder),
        compute=compute,
    )


def same(one: Trained, other: Trained) -> bool:
    """Whether two runs ended the same, to the bit, but for the time they took."""
    histories = [[{k: v for k, v in record.items() if k != "seconds"} for record in t.history] for t in (one, other)]
    return (
        histories[0] == histories[1]
        and one.checkpoint.header == other.checkpoint.header
        and all(torch.equal(weight, other.checkpoint.weights[name]) for name, weight in one.checkpoint.weights.items())
    )


@pytest.fixture(scope="module")
def by_two(partitioned: Partitioned, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(partitioned, tmp_path_factory.mktemp("two"))


def test_one_process_and_two_learn_alike(partitioned: Partitioned, tmp_path: Path, by_two: Trained) -> None:
    one = train(partitioned, tmp_path, 1)
    assert len(one.history) == len(by_two.history) == 3
    assert by_two.history[-1]["smape"] == pytest.approx(one.history[-1]["smape"], rel=0.15)
    assert by_two.history[-1]["smape"] < 0.9 * by_two.history[0]["smape"]


def test_with_other_memory_a_run_goes_on_in_the_windows_that_it_began_with(
    partitioned: Partitioned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(partitioned, tmp_path / "whole", 1)
    assert not same(train(partitioned, tmp_path / "other", 1, memory_gb=4e-5), whole)  # windows matter
    after_step = Trainer._after_step

    def cut(self: Trainer, products: int) -> None:
        after_step(self, products)
        if self.loop.progress.step == 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", cut)
        with pytest.raises(KeyboardInterrupt):
            train(partitioned, tmp_path / "cut", 1, state_every=0)
    resumed = train(partitioned, tmp_path / "cut", 1, memory_gb=4e-5, resume=True)
    assert same(resumed, whole)
    assert "going on with windows of 735 products" in caplog.text


def when_there(path: Path, action: Any) -> threading.Thread:
    """Do something once a file is there."""

    def watch() -> None:
        until = time.monotonic() + 60
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def children() -> list[int]:
    """Processes that train for this one, oldest first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent == os.getpid() and b"spawn_main" in command:
            found.append(int(folder.name))
    return sorted(found)


@pytest.mark.slow
def test_a_killed_process_is_started_again_and_nothing_shows(
    partitioned: Partitioned, tmp_path: Path, by_two: Trained
) -> None:
    run = RunFolder(tmp_path)
    killed: list[int] = []

    def kill() -> None:
        killed.append(children()[-1])
        os.kill(killed[0], signal.SIGKILL)

    watcher = when_there(run.states[1], kill)
    trained = train(partitioned, tmp_path, state_every=0)
    watcher.join()
    assert killed
    assert same(trained, by_two)


@pytest.mark.slow
def test_processes_that_die_again_and_again_end_the_run(partitioned: Partitioned, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    watcher = when_there(run.state, lambda: os.kill(children()[0], signal.SIGKILL))
    with pytest.raises(
        ComputeError, match=r"(?s)v: training processes died 1 times.*compute.retries is 0.*v\.train\.resume=true"
    ):
        train(partitioned, tmp_path, retries=0, epochs=LONG, state_every=0)
    watcher.join()
    assert not (tmp_path / "workers").exists()


@pytest.mark.slow
def test_an_error_of_a_process_comes_out_as_it_is(partitioned: Partitioned, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^v: (the loss became|after epoch 1)") as caught:
        train(partitioned, tmp_path, learning_rate=1e30)
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_asked_to_stop_all_save_and_stop_and_can_go_on(
    partitioned: Partitioned,
    tmp_path: Path,
    by_two: Trained,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = RunFolder(tmp_path)
    watcher = when_there(run.state, lambda: interruption.ask(signal.SIGTERM))
    with caplog.at_level(logging.INFO), pytest.raises(interruption.Interruption) as caught:
        train(partitioned, tmp_path, epochs=LONG, state_every=0)
    watcher.join()
    assert caught.value.code == 143
    assert "v: stopped by SIGTERM in epoch" in caplog.text
    assert "v.train.resume=true" in capfd.readouterr().err
    with pytest.raises(TrainingError, match=r"compute\.training_processes: was 2, is 1"):
        train(partitioned, tmp_path, 1, epochs=LONG, resume=True)


@pytest.mark.slow
def test_ray_trains_the_same_to_the_bit(
    partitioned: Partitioned, tmp_path: Path, by_two: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    ray = pytest.importorskip("ray")
    try:
        with caplog.at_level(logging.INFO):
            trained = train(partitioned, tmp_path, kind="ray")
    finally:
        ray.shutdown()
    assert same(trained, by_two)
    assert "v epoch 3/3: loss" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.json",
        "kept.safetensors",
        "state.bin",
        "state.previous.bin",
    ]
