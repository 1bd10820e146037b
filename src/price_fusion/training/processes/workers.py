"""What each of the processes that train one model does, and the messages that it and the run leave each other.

They are in a folder beside the state while the processes run: log records, how it ended, and a wish to stop.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from price_fusion import errors
from price_fusion.compute import interruption
from price_fusion.compute.interruption import Interruption, command_with, say
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.errors import ComputeError, PriceFusionError
from price_fusion.models.device import choose_device
from price_fusion.parameters import VariantParameters
from price_fusion.storage.files import write_whole
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.loader.partition_data import StreamedRows, partition_data
from price_fusion.training.ranks import Ranks, joined
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant
from price_fusion.training.training_run import Trained

logger = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at what the others have left."""


@dataclass(frozen=True)
class Work:
    """What each process is to do; survives pickling."""

    name: str
    parameters: VariantParameters
    samples: Partitions
    tables: dict[str, TablePartitions]
    rows: StreamedRows
    seed: int
    run: RunFolder
    window_bytes: int
    """Per process."""
    threads: int | None = None
    """Of torch in each process; None: as it is. Their number shows in the last bits of what is computed."""
    command: tuple[str, ...] = ()
    """Of the run, for messages that say how to go on."""

    def for_workers(self) -> Work:
        """The same with addresses that do not depend on the working folder."""
        return replace(
            self,
            samples=_absolute(self.samples),
            tables={name: TablePartitions(_absolute(table.partitions)) for name, table in self.tables.items()},
            run=replace(self.run, path=self.run.path.absolute()),
            command=interruption.remembered_command(),
        )

    def done_by(self, ranks: Ranks) -> Trained:
        """Train, as one of these."""
        data = partition_data(
            self.parameters,
            self.samples,
            self.tables,
            self.rows,
            seed=self.seed,
            window_bytes=self.window_bytes,
            ranks=ranks,
        )
        return train_variant(self.name, self.parameters, data, seed=self.seed, run=self.run, ranks=ranks)

    @property
    def on_gpu(self) -> bool:
        """Whether the processes train on GPUs."""
        return choose_device(self.parameters.train.device).type == "cuda"

    def going_on(self) -> Work:
        """The same, going on from the state that is there: of an earlier run if that was asked for, else of this one."""
        if self.parameters.train.resume or not any(path.exists() for path in self.run.states):
            return self
        train = self.parameters.train.model_copy(update={"resume": True})
        return replace(self, parameters=self.parameters.model_copy(update={"train": train}))


@dataclass(frozen=True)
class Messages:
    """A folder in which a run and its processes leave each other messages."""

    path: Path

    @property
    def log(self) -> Path:
        """Log records of the first process, one JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def outcome(self) -> Path:
        """How it ended, unless it ended well."""
        return self.path / "outcome.json"

    @property
    def trouble(self) -> Path:
        """What a process died of that may pass; the last of them."""
        return self.path / "trouble.txt"

    @property
    def stop(self) -> Path:
        """The number of the signal that asked to stop."""
        return self.path / "stop"

    def clear(self) -> None:
        """Make the folder as if no process had ever run."""
        shutil.rmtree(self.path, ignore_errors=True)

    def raise_outcome(self, name: str) -> None:
        """Raise what ended the processes, if they did not end well.

        Raises:
            PriceFusionError: that a process raised.
            Interruption: if they were asked to stop.
        """
        if not self.outcome.exists():
            return
        outcome = json.loads(self.outcome.read_text(encoding="utf-8"))
        if "signal" in outcome:
            say(f"Go on with:\n{command_with(f'{name}.train.resume=true')}")
            raise Interruption(outcome["signal"])
        raise getattr(errors, outcome["error"], ComputeError)(outcome["message"])

    def note(self, outcome: Mapping[str, Any]) -> None:
        """Leave word of how it ended, for the run and for the other processes."""
        write_whole(self.outcome, json.dumps(outcome).encode())


def train_as_worker(work: Work, messages: Messages) -> None:
    """What each of several processes does. Errors that would come again are noted, others raised, to be tried again."""
    import torch

    if messages.outcome.exists():  # it ended while this process was being started
        return
    if work.threads is not None:
        torch.set_num_threads(work.threads)
    interruption.remember_command(list(work.command))
    with _stopping_when_asked(messages), joined() as ranks, _logging_to(messages, ranks):
        try:
            work.going_on().done_by(ranks)
        except (Exception, Interruption) as error:
            _note(error, work, messages, ranks)


def _note(error: BaseException, work: Work, messages: Messages, ranks: Ranks) -> None:
    """Leave word of what ended this process; raise it where another try may help, or others must be ended.

    What torch raises when another process is gone is a RuntimeError.
    """
    if isinstance(error, Interruption):
        if ranks.is_first:
            messages.note({"signal": int(str(error.code)) - 128})
    elif isinstance(error, PriceFusionError):
        messages.note({"error": type(error).__name__, "message": str(error)})
        if work.on_gpu:  # others may wait for this process on their GPUs: that it ends badly ends them
            raise error
    elif not isinstance(error, RuntimeError):
        messages.note({"error": "ComputeError", "message": f"{work.name}: {_as_text(error)}"})
    elif not messages.outcome.exists():
        with suppress(OSError):
            messages.trouble.write_text(_as_text(error), encoding="utf-8")
        raise error


def _as_text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@contextmanager
def _stopping_when_asked(messages: Messages) -> Iterator[None]:
    """While this is open, signals and the run's wish to stop reach the training."""
    over = Event()

    def watch() -> None:
        while not over.wait(POLL):
            if messages.stop.exists():
                interruption.ask(int(messages.stop.read_text()))

    def handle(number: int, _: object) -> None:
        if not interruption.ask(number):
            os._exit(128 + number)

    with suppress(ValueError):  # not the main thread: its signals are somebody else's
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)
    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


class _RecordLines(logging.Handler):
    """Appends log records to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.INFO)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        line = {"name": record.name, "level": record.levelno, "message": record.getMessage()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def _logging_to(messages: Messages, ranks: Ranks) -> Iterator[None]:
    """While this is open, what the first process logs goes to the run, and what it prints nowhere: the run has printed it."""
    import rich

    ours = logging.getLogger("price_fusion")
    handler = _RecordLines(messages.log) if ranks.is_first else logging.NullHandler()
    before = ours.level, ours.propagate
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        rich.reconfigure(file=nowhere, force_terminal=False)
        try:
            yield
        finally:
            rich.reconfigure()
            ours.removeHandler(handler)
            ours.level, ours.propagate = before


def relayed(messages: Messages, place: int) -> int:
    """Log what was logged from this place on; the place of what is not yet there."""
    if not messages.log.exists():
        return place
    with messages.log.open("rb") as file:
        file.seek(place)
        for line in file:
            if not line.endswith(b"\n"):
                break
            place += len(line)
            record = json.loads(line)
            logging.getLogger(record["name"]).log(record["level"], "%s", record["message"])
    return place


def _absolute(partitions: Partitions) -> Partitions:
    return Partitions(str(partitions.store.path.absolute())) if partitions.store.is_local else partitions
