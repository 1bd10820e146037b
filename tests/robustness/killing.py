"""Runs of the real ``kedro run`` that are killed again and again: shared by ``kills.py`` and the tests.

A training is started, killed by SIGKILL, started again with ``resume``, and so on until one start reaches the end. What it
leaves must be, to the byte, what a training leaves that nobody killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, Protocol

from price_fusion.errors import TrainingError


class Process(Protocol):
    """What ``subprocess.Popen`` and forks of a warm ``kedro`` have in common."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit status; None as long as it runs."""

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has one."""

    def communicate(self, *, timeout: float) -> tuple[str, str]:
        """What it printed, once it has ended."""


Start = Callable[[Path, Sequence[str]], AbstractContextManager[Any]]
"""What starts ``kedro`` with some arguments in a project: a ``Process``."""
Aim = Literal["anywhere", "while it trains", "inside a write"]
AIMS: tuple[Aim, ...] = ("anywhere", "while it trains", "inside a write")
POLL = 0.0005
"""Seconds between looks at the folder: a write takes some milliseconds."""
SETTINGS = (
    "moe.train.epochs=12",
    "moe.train.batch_size=16",
    "moe.train.schedule=plateau",
    "moe.train.keep=best",
    "moe.train.plateau_patience=0",
    "moe.train.early_stopping_patience=null",
    "moe.train.learning_rate=0.003",
    "moe.model.branch.width=32",
    "moe.model.head.hidden=[64]",
)
"""A small ``moe`` with everything in motion: an average of weights, hidden sources, dropout, a rate that drops often."""
SAVES = "moe.train.state_every=0.02"


@dataclass
class Kill:
    """One kill and what it hit."""

    aim: Aim
    seconds: float
    """Since the start of the process."""
    writing: tuple[str, ...]
    """Files that were being written."""
    step: int | None
    """That the state on disk is of; None: none yet."""
    epoch: int | None
    rate: float | None
    """Factor of the learning rate that plateaus have left in that state."""


@dataclass
class Ordeal:
    """A training that was killed until it was done."""

    digests: dict[str, str]
    kills: list[Kill] = field(default_factory=list)


def train_arguments(*, resume: bool, settings: Sequence[str] = SETTINGS) -> list[str]:
    """The training alone, on tables that are there: arguments of ``kedro``."""
    parameters = ",".join([*settings, SAVES, f"moe.train.resume={str(resume).lower()}"])
    return ["run", "--pipelines", "train_moe", "--nodes", "moe.train", "--params", parameters]


def train(
    project: Path, *, settings: Sequence[str] = SETTINGS, start: Start | None = None
) -> tuple[dict[str, str], float]:
    """Train without a kill; digests of what it left, and the seconds that it took."""
    shutil.rmtree(project / "data/06_models/moe", ignore_errors=True)
    began = monotonic()
    with (start or started)(project, train_arguments(resume=False, settings=settings)) as process:
        _, errors = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"training failed: {errors[-2000:]!r}")
    return digests(project), monotonic() - began


def train_under_fire(
    project: Path,
    aims: Iterator[Aim],
    chance: random.Random,
    usual: float,
    *,
    most: int,
    settings: Sequence[str] = SETTINGS,
    start: Start | None = None,
) -> Ordeal:
    """Train, killed as long as kills are left and the training is not done.

    Args:
        project: with tables; what an earlier training left is removed.
        aims: what to hit next.
        chance: of the moments.
        usual: seconds that a training without kills takes.
        most: kills at most; then the training is left alone.
        settings: parameters of the training.
        start: what starts it; an interpreter of its own by default.
    """
    shutil.rmtree(project / "data/06_models/moe", ignore_errors=True)
    kills: list[Kill] = []
    while True:
        # The very first start is a fresh one; if it was killed before it had a state, so is the next.
        arguments = train_arguments(resume=bool(kills), settings=settings)
        with (start or started)(project, arguments) as process:
            kill = _shoot(process, project, next(aims), chance, usual) if len(kills) < most else None
            _, errors = process.communicate(timeout=600)
        if kill is None:
            if process.returncode:
                raise RuntimeError(f"training failed after {len(kills)} kills: {errors[-2000:]!r}")
            return Ordeal(digests(project), kills)
        kills.append(kill)


def digests(project: Path) -> dict[str, str]:
    """What a training left: weights, optimizer and all else in its state, history without times, by their sha256."""
    from price_fusion.training.run_folder import RunFolder

    models = project / "data/06_models/moe"
    history = json.loads((models / "training_history.json").read_text(encoding="utf-8"))
    state = _read_state(RunFolder(models / "run"))
    if state is None:
        raise RuntimeError("a training that ended has no state")
    progress = {key: value for key, value in state["progress"].items() if key not in ("history", "seconds")}
    return {
        "checkpoint": hashlib.sha256((models / "checkpoint.safetensors").read_bytes()).hexdigest(),
        "history": _digest([{key: one[key] for key in one if key != "seconds"} for one in history]),
        "state": _digest({**state, "progress": progress}),
    }


def _read_state(run: Any) -> dict[str, Any] | None:
    """The parts of the last whole state of a run folder."""
    import torch

    from price_fusion.training.resume.state import load_state

    try:
        loaded = load_state(run.states, torch.device("cpu"))
    except (TrainingError, FileNotFoundError):
        return None
    return loaded and loaded[2]


def _digest(value: object) -> str:
    """sha256 of nested containers of tensors and plain values, to the bit."""
    import torch

    digest = hashlib.sha256()

    def add(item: object) -> None:
        if isinstance(item, torch.Tensor):
            digest.update(
                f"{item.dtype}{tuple(item.shape)}".encode() + item.detach().cpu().contiguous().numpy().tobytes()
            )
        elif isinstance(item, dict):
            for key in sorted(item, key=str):
                digest.update(f"{key}:".encode())
                add(item[key])
        elif isinstance(item, list | tuple):
            for one in item:
                add(one)
        else:
            digest.update(f"{item!r};".encode())

    add(value)
    return digest.hexdigest()


class started:  # noqa: N801 - used as a function
    """``kedro`` in an interpreter of its own, in a process group of its own."""

    def __init__(self, project: Path, arguments: Sequence[str]) -> None:
        environment = os.environ | {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> subprocess.Popen[str]:
        return self.process

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def _shoot(process: Process, project: Path, aim: Aim, chance: random.Random, usual: float) -> Kill | None:
    """Kill a process at a random moment of the wanted kind; None if it was done before."""
    run = project / "data/06_models/moe/run"
    began = monotonic()
    if aim == "anywhere":
        moment = chance.uniform(0, usual)
        found = _wait(process, lambda: monotonic() - began >= moment)
    else:
        # The first new state says that training is under way.
        state = run / "state.bin"
        before = _stamp(state)
        found = _wait(process, lambda: _stamp(state) != before)
        moment = monotonic() + chance.uniform(0, 0.6)
        found = found and _wait(process, lambda: monotonic() >= moment)
        if found and aim == "inside a write":
            found = _wait(process, lambda: bool(_writing(run)))
    if not found:
        return None
    writing = _writing(run)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    if process.returncode != -signal.SIGKILL:
        return None
    return _described(aim, monotonic() - began, writing, run)


def _described(aim: Aim, seconds: float, writing: tuple[str, ...], run: Path) -> Kill:
    from price_fusion.training.run_folder import RunFolder

    parts = _read_state(RunFolder(run)) if run.exists() and any(run.glob("state*.bin")) else None
    if parts is None:
        return Kill(aim, seconds, writing, None, None, None)
    progress = parts["progress"]
    return Kill(aim, seconds, writing, progress["step"], progress["epoch"], parts["schedule"]["factor"])


def _wait(process: Process, until: Any) -> bool:
    """Wait for a moment; False if the process ended first."""
    while not until():
        if process.poll() is not None:
            return False
        sleep(POLL)
    return True


def _writing(run: Path) -> tuple[str, ...]:
    try:
        return tuple(path.name.split(".")[1] for path in run.iterdir() if path.suffix == ".partial")
    except FileNotFoundError:
        return ()


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
