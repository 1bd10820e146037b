"""The runs of this process: how each begins, in which folder it writes, and how it ends, by the id that Kedro gave it."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import SharedMemoryDataCatalog
from kedro.pipeline import Pipeline

from price_fusion.compute.interruption import Interruption, ask, command_with, remember_command, say
from price_fusion.runs.journal import JOURNAL, NODES, Catalog, Journal
from price_fusion.runs.project_facts import ProjectFacts, current_project
from price_fusion.runs.record import RunRecord
from price_fusion.storage.files import remove_leftovers
from price_fusion.storage.lock import only_writer

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
MANAGER = "Manager"
"""In the name of the process that serves the memory which the processes of ``ParallelRunner`` share."""

Close = Callable[[str, BaseException | None], None]
"""What is to be done at the end of a run, given its status and its error."""


@dataclass
class Run:
    """A run that has begun and not yet ended.

    Attributes:
        id: that Kedro gave it.
        facts: its project.
        pipeline: what it runs.
        catalog: of the run.
        journal: of its nodes.
        closers: called at its end, the last first.
        held: the data folder and the handlers of signals.
        thread: that began it, and waits for its end.
    """

    id: str
    facts: ProjectFacts
    pipeline: Pipeline
    catalog: Catalog
    journal: Journal
    closers: list[Close] = field(default_factory=list)
    held: ExitStack = field(default_factory=ExitStack)
    thread: threading.Thread = field(default_factory=threading.current_thread)


class ActiveRuns:
    """Runs that have begun and not yet ended. Those of one data folder wait in line; see ``only_writer``."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._listens = False

    def of(self, run_params: Mapping[str, Any]) -> Run | None:
        """The run of these parameters of Kedro's; None for one without a project."""
        return self._runs.get(run_params["run_id"])

    def begin(self, run_params: Mapping[str, Any], pipeline: Pipeline, catalog: Catalog) -> Run | None:
        """Wait for the data folder, clean it, and write down what begins.

        Raises:
            BusyError: if another process writes there.
        """
        facts = current_project.get()
        if facts is None:
            return None
        self._end_abandoned()
        record = RunRecord(facts, run_params)
        with ExitStack() as held:
            held.enter_context(stopping_well(workers=isinstance(catalog, SharedMemoryDataCatalog)))
            held.enter_context(only_writer(facts.data, record.id))
            leftovers = remove_leftovers(facts.data)
            if leftovers:
                logger.info("removed what a run that died was writing: %s", ", ".join(map(str, leftovers)))
            record.begin()
            expected = None if run_params.get("only_missing_outputs") else len(pipeline.nodes)
            run = Run(run_params["run_id"], facts, pipeline, catalog, Journal(record.path.with_name(NODES), expected))
            catalog[JOURNAL] = run.journal
            run.held = held.pop_all()
        run.closers.append(lambda status, error: record.end(status, error, run.journal, pipeline, catalog))
        self._runs[run.id] = run
        if not self._listens:
            self._listens = True
            atexit.register(self._at_exit)
        return run

    def end(self, run: Run | None, status: str, error: BaseException | None = None) -> None:
        """Do what is to be done at the end, and let the next run in."""
        if run is None or self._runs.pop(run.id, None) is None:
            return
        with run.held:
            for close in reversed(run.closers):
                close(status, error)

    def _end_abandoned(self) -> None:
        """End what nobody waits for any more, as in a notebook that interrupted its cell."""
        for run in list(self._runs.values()):
            if run.thread is threading.current_thread() or not run.thread.is_alive():
                self.end(run, "interrupted")

    def _at_exit(self) -> None:
        """A run that neither ended nor failed was stopped by a signal or by its user."""
        for run in list(self._runs.values()):
            self.end(run, "interrupted")


class RunHooks:
    """Surrounds what the other hooks do at the start and at the end of a run, whether they fail or not."""

    def __init__(self, runs: ActiveRuns) -> None:
        self._runs = runs

    @hook_impl(wrapper=True, tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog
    ) -> Generator[None, object, object]:
        """Begin the run. Kedro does not say so if another hook stops it here."""
        run = self._runs.begin(run_params, pipeline, catalog)
        try:
            return (yield)
        except BaseException as error:
            self._runs.end(run, "failed", error)
            raise

    @hook_impl(wrapper=True, tryfirst=True)
    def after_pipeline_run(self, run_params: dict[str, Any]) -> Generator[None, object, object]:
        """End the run."""
        try:
            return (yield)
        finally:
            self._runs.end(self._runs.of(run_params), "finished")

    @hook_impl(wrapper=True, tryfirst=True)
    def on_pipeline_error(self, run_params: dict[str, Any], error: Exception) -> Generator[None, object, object]:
        """End the run with its error, or with the one that another hook makes of it."""
        final: BaseException = error
        try:
            return (yield)
        except BaseException as explained:
            final = explained
            raise
        finally:
            self._runs.end(self._runs.of(run_params), "failed", final)


@contextmanager
def stopping_well(*, workers: bool = False) -> Iterator[None]:
    """While this is open, SIGINT and SIGTERM end the process with status 130 and 143, after training has saved its state.

    Signals stay what they are in notebooks, whose kernel has its own idea of them, and outside the main thread.

    Args:
        workers: whether the nodes run in processes of their own (``ParallelRunner``). These are killed, as its pool would
            wait for them, and write on when the data folder is another's. No file is half-written by that, and training
            has the state that it saved last.
    """
    if "ipykernel" in sys.modules or threading.current_thread() is not threading.main_thread():
        yield
        return
    program = Path(sys.argv[0]).name
    remember_command([program if program == "price-fusion" else "kedro", *sys.argv[1:]])
    before = {number: signal.signal(number, partial(_stop, workers=workers)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None, *, workers: bool) -> Any:
    if workers:
        kill_workers()
    name = signal.Signals(number).name
    if ask(number):
        say(f"{name}: stopping after this training step, with the state saved. Once more stops at once.")
        return
    say(f"{name}: stopped; no file is half-written. Go on with:\n{command_with(None)}")
    raise Interruption(number)


def kill_workers() -> None:
    """Kill the processes of this one, but for that which holds the memory they share."""
    for process in multiprocessing.active_children():
        if MANAGER not in process.name:
            process.kill()
