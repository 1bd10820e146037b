"""Training on hash buckets: in this process, or by several that torch's elastic launcher or Ray Train starts.

The processes run the same loop in step (``engine/ranks.py``). Whoever starts them only does that, and starts all of them again
when one dies; they go on from the last state in the run folder, which all machines must see. Beside it, while they run, is a
folder in which they and this process leave each other messages: log records, how it ended, and a wish to stop.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from price_fusion import errors
from price_fusion.errors import EngineError, PriceFusionError
from price_fusion.fusion import interruption
from price_fusion.fusion.buckets.parts import Buckets
from price_fusion.fusion.buckets.table import TableBuckets
from price_fusion.fusion.checkpoint import load_checkpoint
from price_fusion.fusion.engine.bucket_data import bucket_data
from price_fusion.fusion.engine.device import choose_device
from price_fusion.fusion.engine.progress import show_parameter_counts
from price_fusion.fusion.engine.ranks import Ranks, joined
from price_fusion.fusion.engine.run_folder import RunFolder
from price_fusion.fusion.engine.trainer import make_way, train_variant
from price_fusion.fusion.engine.training_run import Trained
from price_fusion.fusion.engines.ray import connected
from price_fusion.fusion.files import write_whole
from price_fusion.fusion.interruption import Interruption, command_with, listening, say
from price_fusion.fusion.models.build import build_model
from price_fusion.fusion.models.counts import parameter_counts
from price_fusion.parameters import VariantParameters
from price_fusion.parameters.engine import EngineParameters

logger = logging.getLogger(__name__)

WINDOWS = 4
"""Parts of ``memory_gb``, one of which a window may take: two are in memory, and what is being read."""
POLL = 0.2
"""Seconds between two looks at what the processes have left."""


def train_buckets(
    name: str,
    parameters: VariantParameters,
    samples: Buckets,
    tables: Mapping[str, TableBuckets],
    *,
    seed: int,
    run: RunFolder,
    engine: EngineParameters,
) -> Trained:
    """Train a variant on train rows that are streamed from buckets; validation rows as ``bucket_data`` chooses them.

    Args:
        name: of the variant.
        parameters: its composition and training.
        samples: the sample table, labelled and split.
        tables: one per source of the variant, in the order of the model's tokens.
        seed: of the weights, of dropout, of the order of the rows and of the validation sample.
        run: folder that takes checkpoints, state and history; with Ray on several machines, all of them must see it.
        engine: how many processes train, who starts them, and the memory for windows.

    Raises:
        TrainingError: as ``train_variant``.
        DataError: if a bucket cannot be used.
        StorageError: if a bucket cannot be read, or the run folder not be written.
        EngineError: if processes died more than ``engine.retries`` times, or failed for no reason that is known.
        MissingPackageError: if Ray is asked for and not installed.
        Interruption: if a signal asked to stop; the state is saved then.
    """
    work = Work(name, parameters, samples, dict(tables), seed, run, engine.memory_bytes // WINDOWS)
    if engine.kind == "local" and engine.training_processes == 1:
        return work.done_by(Ranks())
    work = work.for_workers()
    messages = Messages(work.run.path / "workers")
    messages.clear()
    if not parameters.train.resume:
        make_way(name, work.run)
    sources = {source: table.declaration for source, table in tables.items()}
    show_parameter_counts(name, parameter_counts(build_model(sources, parameters.model)))
    launch = _launch_ray if engine.kind == "ray" else _launch_elastic
    try:
        _attended(lambda: launch(work, messages, engine), messages)
        messages.raise_outcome(name)
    finally:
        messages.clear()
    return Trained(load_checkpoint(work.run.kept), json.loads(work.run.history.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Work:
    """What each process is to do; survives pickling."""

    name: str
    parameters: VariantParameters
    samples: Buckets
    tables: dict[str, TableBuckets]
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
            tables={name: TableBuckets(_absolute(table.buckets)) for name, table in self.tables.items()},
            run=replace(self.run, path=self.run.path.absolute()),
            command=tuple(interruption._command),
        )

    def done_by(self, ranks: Ranks) -> Trained:
        """Train, as one of these."""
        data = bucket_data(
            self.parameters,
            self.samples,
            self.tables,
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
        raise getattr(errors, outcome["error"], EngineError)(outcome["message"])

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
        messages.note({"error": "EngineError", "message": f"{work.name}: {_as_text(error)}"})
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


def _attended(launch: Callable[[], None], messages: Messages) -> None:
    """Launch in a thread; meanwhile, log what the processes log, and tell them to stop when this run is asked to."""
    with ThreadPoolExecutor(1) as pool, listening() as listener:
        launched, place, asked = pool.submit(launch), 0, False
        try:
            while not launched.done():
                wait([launched], timeout=POLL)
                place = _relayed(messages, place)
                if listener.asked and not asked:
                    asked = True
                    write_whole(messages.stop, str(int(listener.asked)).encode())
        except BaseException:
            write_whole(messages.stop, str(int(signal.SIGINT)).encode())
            raise
        _relayed(messages, place)
    if not messages.outcome.exists():
        launched.result()


def _relayed(messages: Messages, place: int) -> int:
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


def _died(work: Work, messages: Messages, engine: EngineParameters) -> EngineError:
    trouble = messages.trouble.read_text(encoding="utf-8").strip() if messages.trouble.exists() else ""
    last = f" The last one said: {trouble.splitlines()[-1]}" if trouble else ""
    return EngineError(
        f"{work.name}: training processes died {engine.retries + 1} times, killed or out of memory: engine.retries is "
        f"{engine.retries}.{last} Lower engine.memory_gb or engine.training_processes, and go on from the last state, if there "
        f"is one, with\n{command_with(f'{work.name}.train.resume=true')}"
    )


def _launch_elastic(work: Work, messages: Messages, engine: EngineParameters) -> None:
    """Start processes on this machine, all again when one dies."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    count = engine.training_processes
    threads = work.threads or max(1, len(os.sched_getaffinity(0)) // count)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=f"{work.name}-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=engine.retries,
        monitor_interval=POLL,
    )
    with _silent_launcher():
        try:
            elastic_launch(config, train_as_worker)(replace(work, threads=threads), messages)
        except ChildFailedError as error:
            raise _died(work, messages, engine) from error


@contextmanager
def _silent_launcher() -> Iterator[None]:
    """While this is open, torch's launcher does not log: what it has to say is said by our own errors."""
    talkers = ("torch.distributed.elastic", "torch.multiprocessing")
    names = [name for name in logging.root.manager.loggerDict if name.startswith(talkers)]
    loggers = [logging.getLogger(name) for name in (*names, "torchelastic-events-null")]
    before = [one.disabled for one in loggers]
    settings = {"OMP_NUM_THREADS": "1"} | ({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})
    added = {name: value for name, value in settings.items() if name not in os.environ}
    for one in loggers:
        one.disabled = True
    os.environ.update(added)
    try:
        yield
    finally:
        for one, disabled in zip(loggers, before, strict=True):
            one.disabled = disabled
        for name in (*added, "TORCHELASTIC_SIGNALS_TO_HANDLE"):
            os.environ.pop(name, None)


def _launch_ray(work: Work, messages: Messages, engine: EngineParameters) -> None:
    """Have Ray Train start processes, wherever it has room for them, all again when one dies."""
    ray = connected(engine)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")  # of Ray to itself
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        spec = replace(work, threads=work.threads or 1)
        trainer = TorchTrainer(
            lambda _: train_as_worker(spec, messages),
            train_loop_config={},
            scaling_config=ScalingConfig(num_workers=engine.training_processes, use_gpu=work.on_gpu),
            run_config=RunConfig(
                name="ray",
                storage_path=str(messages.path),
                failure_config=FailureConfig(max_failures=engine.retries),
            ),
        )
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise _died(work, messages, engine) from error


def _absolute(buckets: Buckets) -> Buckets:
    return Buckets(str(buckets.store.path.absolute())) if buckets.store.is_local else buckets
