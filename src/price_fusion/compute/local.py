"""Tasks in processes of this machine."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import fsspec

from price_fusion.compute.executor import Executor, has_failed, out_of_memory, run_task
from price_fusion.parameters.compute import ComputeParameters

IMPORTED = ("torch", "price_fusion.data.partitions.partition_alignment", "price_fusion.prediction.partition_scoring")
"""What the server that workers are forked from imports, once, before there are any: it takes seconds."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class LocalExecutor(Executor):
    """As many processes as ``workers`` says; with one, this process itself."""

    def __init__(self, parameters: ComputeParameters) -> None:
        self.workers = parameters.workers or len(os.sched_getaffinity(0))
        self.retries = parameters.retries

    def _results(self, task: Callable[[Item], Result], items: Sequence[Item], label: str) -> Iterator[Result]:
        workers = min(self.workers, len(items))
        try:
            if workers <= 1:
                yield from map(task, items)
            else:
                yield from self._in_processes(task, items, workers, label)
        except MemoryError as error:
            raise out_of_memory(f"{label}: a task ran out of memory ({error or 'no more is said'})") from error

    def _in_processes(
        self, task: Callable[[Item], Result], items: Sequence[Item], workers: int, label: str
    ) -> Iterator[Result]:
        left = dict(enumerate(items))
        begun: Counter[int] = Counter()
        while left:
            try:
                for place, result in _in_pool(task, dict(left), begun, workers):
                    del left[place]
                    yield result
            except BrokenProcessPool as error:
                deaths = max(begun[place] for place in left)
                if deaths > self.retries:
                    raise out_of_memory(
                        f"{label}: worker processes died, {deaths} of them over one task: killed, or out of memory, with "
                        f"{len(left):,} of {len(items):,} tasks to go"
                    ) from error


def _in_pool(
    task: Callable[[Item], Result], items: dict[int, Item], begun: Counter[int], workers: int
) -> Iterator[tuple[int, Result]]:
    """Results with the places of their items. Items are handed out as workers get free, so that few die with one."""
    waiting = iter(items.items())
    with _pool(workers, task) as pool:
        running: dict[Future[Result], int] = {}
        while True:
            for place, item in islice(waiting, workers - len(running)):
                begun[place] += 1
                with _interruptions_held():
                    running[pool.submit(_run_task, item)] = place
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=has_failed):
                yield running.pop(future), future.result()


@contextmanager
def _pool(workers: int, task: Callable[[Any], Any]) -> Iterator[ProcessPoolExecutor]:
    """Processes that are waited for if a task fails, and ended at once if this one is interrupted or dies."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    leash, held = context.Pipe(duplex=False)
    with leash, held, ProcessPoolExecutor(workers, context, _begin, (leash, dict(os.environ), task)) as pool:
        try:
            yield pool
        except Exception:
            raise
        except BaseException:
            held.close()
            raise


_tasks: list[Callable[[Any], Any]] = []
"""Of this process, where it is a worker: one. It came once, as it may hold a model."""


def _run_task(item: Any) -> Any:
    try:
        return run_task(_tasks[-1], item)
    finally:
        _give_back_memory()


def _give_back_memory() -> None:
    """Give freed memory back to the system: over hundreds of tasks it piles up in pieces too small for the next one."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others keep nothing, or have no such function
    if trim is not None:
        trim(0)


def _begin(leash: Connection, environment: dict[str, str], task: Callable[[Any], Any]) -> None:
    """Let a worker have its task, and the environment of its parent, which may have changed since their server began."""
    _tasks.append(task)
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
        fsspec.config.set_conf_env(fsspec.config.conf)
    _follow(leash)


def _follow(leash: Connection) -> None:
    """Let a worker die as soon as the other end of the leash is let go: by its parent, or by the death of it."""

    def follow() -> None:
        leash.poll(None)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """Block SIGINT, for processes that begin now to inherit: Ctrl-C in a terminal is for this one, which ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
