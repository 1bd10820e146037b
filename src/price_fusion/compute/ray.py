"""Tasks on a Ray cluster: of many machines, or of this one alone."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from price_fusion.compute.executor import Executor, has_failed, out_of_memory, run_task
from price_fusion.errors import ComputeError, MissingPackageError
from price_fusion.lazy import install_command
from price_fusion.parameters.compute import ComputeParameters

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = 5.0
"""Seconds that the head of a cluster has to answer; Ray itself waits for minutes."""


class RayExecutor(Executor):
    """A task takes one processor core of the cluster. Connecting to it is part of the construction.

    Raises:
        MissingPackageError: if Ray is not installed.
        ComputeError: if the cluster cannot be reached.
    """

    def __init__(self, parameters: ComputeParameters) -> None:
        self._ray = connected(parameters)
        self.workers = parameters.workers
        self.retries = parameters.retries

    def _results(self, task: Callable[[Item], Result], items: Sequence[Item], label: str) -> Iterator[Result]:
        ray = self._ray
        remote = ray.remote(run_task).options(num_cpus=1, max_retries=self.retries)
        shared = ray.put(task)
        waiting, left = iter(items), len(items)
        # Futures rather than ray.wait: that turns the exit that a signal asks for into one of its own.
        running: dict[Future[Result], Any] = {}
        try:
            while left:
                # Asked for each time: machines come and go.
                for item in islice(waiting, max(self._at_a_time() - len(running), 0)):
                    reference = remote.remote(shared, item)
                    running[reference.future()] = reference
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=has_failed):
                    del running[future]
                    yield self._result(future, label, f"with {left:,} of {len(items):,} tasks to go")
                    left -= 1
        except Exception:
            wait(running)  # what they finish is kept
            running.clear()
            raise
        finally:
            self._give_up(list(running.values()))

    def _give_up(self, references: list[Any]) -> None:
        if self._ray.is_initialized():  # else Ray would begin a cluster to look for them in
            for one in references:
                self._ray.cancel(one, force=True)

    def _at_a_time(self) -> int:
        return self.workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _result(self, future: Future[Result], label: str, left: str) -> Result:
        """What a task returned; what it raised is raised as if it had run here."""
        errors = self._ray.exceptions
        try:
            return future.result()
        except errors.RayTaskError as error:
            if isinstance(error.cause, MemoryError):
                raise out_of_memory(f"{label}: a task ran out of memory, {left}") from error.cause
            raise error.cause from error
        except errors.OutOfMemoryError as error:
            message = f"{label}: Ray ended workers because the memory of their machine was running out, {left}"
            raise out_of_memory(message) from error
        except errors.WorkerCrashedError as error:
            message = f"{label}: workers died {self.retries + 1} times (killed, out of memory, or crashed), {left}"
            raise out_of_memory(message) from error
        except errors.RayError as error:
            raise ComputeError(
                f"{label}: the Ray cluster lost a task ({_first_line(error)}), {left}. What is finished is kept. "
                "See that the machines of the cluster are up (ray status), raise compute.retries if they come and go, and "
                "give the same command again."
            ) from error


def connected(parameters: ComputeParameters) -> Any:
    """The module ``ray``, connected to a cluster: the one of this process, of the address, that Ray finds, or a new one.

    Raises:
        MissingPackageError: if Ray is not installed.
        ComputeError: if the cluster cannot be reached.
    """
    ray = _imported(parameters)
    if ray.is_initialized():
        return ray
    with _signals_kept():
        address = parameters.address or os.environ.get("RAY_ADDRESS")
        if address:
            _connect(ray, address)
        else:
            _connect_or_start(ray, parameters)
    return ray


def _imported(parameters: ComputeParameters) -> Any:
    # What Ray reads once, as it is imported: no statistics sent home; the default of a version to come, which warns until
    # it is chosen; and an end to retries of tasks that run out of memory, for which there is none by default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_task_oom_retries", str(parameters.retries))
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingPackageError(
            f"compute.executor is 'ray', and Ray is not installed: {install_command('ray')} brings it."
        ) from error
    return ray


def _connect_or_start(ray: Any, parameters: ComputeParameters) -> None:
    try:
        _init(ray, num_cpus=parameters.workers, object_spilling_directory=parameters.spill)
    except ValueError:
        # Those two are for new clusters alone, and Ray found one, which ``ray start`` began on this machine.
        _init(ray)


def _connect(ray: Any, address: str) -> None:
    try:
        _knock(address)
        _init(ray, address=address)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ComputeError(
            f"{address}: no Ray cluster answers there ({_first_line(error)}). Start one (ray start --head), correct "
            "compute.address or the environment variable RAY_ADDRESS, or set neither for a cluster of this machine alone."
        ) from error


def _init(ray: Any, address: str | None = None, **options: Any) -> None:
    ray.init(
        address,
        include_dashboard=False,
        log_to_driver=False,
        ignore_reinit_error=True,
        logging_level=logging.ERROR,
        **options,
    )


def _knock(address: str) -> None:
    """Fail at once where nothing listens."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Take back the handler of SIGTERM that Ray puts in the place of ours."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
