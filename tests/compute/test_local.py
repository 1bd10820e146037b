"""Processes of this machine: results, errors, deaths, and how it all ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from price_fusion.compute import executor_of
from price_fusion.compute.local import LocalExecutor
from price_fusion.errors import AlignmentError, ComputeError, DataError
from price_fusion.parameters.compute import ComputeParameters
from support.cluster import TESTS, die_at, doubled, fail_at, noted, raise_awkward, wait_for

ITEMS = list(range(5))
SCRIPT = """
import os, signal, sys
from functools import partial
from price_fusion.compute.local import LocalExecutor
from price_fusion.compute.interruption import Interruption
from price_fusion.parameters.compute import ComputeParameters
from support.cluster import sleep_noted

def stop(number, frame):
    raise Interruption(number)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    executor = LocalExecutor(ComputeParameters(workers=2))
    list(executor.map(partial(sleep_noted, sys.argv[1]), [60, 60, 60], "sleeping", "tasks"))
"""


def executor(workers: int = 2, retries: int = 0) -> LocalExecutor:
    return LocalExecutor(ComputeParameters(workers=workers, retries=retries))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("items", [[], [4], ITEMS])
def test_each_item_has_one_result(workers: int, items: list[int]) -> None:
    results = executor(workers).map(doubled, items, "doubling", "numbers")
    assert sorted(results) == [2 * item for item in items]


def test_an_executor_is_local_by_default() -> None:
    found = executor_of(ComputeParameters())
    assert isinstance(found, LocalExecutor)
    assert found.workers == len(os.sched_getaffinity(0))


ERRORS = [DataError("both are wrong", ["one", "another"]), AlignmentError("ids do not fit"), ValueError("a bug")]


@pytest.mark.parametrize(("workers", "error"), [(2, ERRORS[0]), *((1, error) for error in ERRORS)])
def test_errors_of_tasks_come_as_they_are(tmp_path: Path, workers: int, error: Exception) -> None:
    log = tmp_path / "log"
    with pytest.raises(type(error)) as caught:
        list(executor(workers).map(partial(fail_at, 0, error, str(log)), [0, 1], "working", "tasks"))
    assert type(caught.value) is type(error)
    assert (str(caught.value), vars(caught.value)) == (str(error), vars(error))
    # The other one had begun, and came to its end.
    assert noted(log) == ([] if workers == 1 else ["1"])


def test_errors_that_cannot_travel_are_described() -> None:
    with pytest.raises(RuntimeError, match="Awkward: first and second"):
        list(executor().map(raise_awkward, [0, 1], "working", "tasks"))


@pytest.mark.parametrize("workers", [1, 2])
def test_too_little_memory(tmp_path: Path, workers: int) -> None:
    task = partial(fail_at, 0, MemoryError("Unable to allocate 9 TiB"), str(tmp_path / "log"))
    with pytest.raises(
        ComputeError, match=r"working: a task ran out of memory \(Unable to.*kept.*compute\.partitions.*workers"
    ):
        list(executor(workers).map(task, [0, 1], "working", "tasks"))


def test_the_task_of_a_worker_that_died_is_begun_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = list(executor(retries=1).map(partial(die_at, 2, str(log), times=1), ITEMS, "working", "tasks"))
    assert sorted(results) == [0, 2, 4, 6, 8]
    assert noted(log).count("2") == 2


def test_workers_that_die_again_and_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = []
    message = r"working: worker processes died, 2 of them over one task.* with \d of 5 tasks to go.*kept.*compute\.partitions.*compute\.workers"
    with pytest.raises(ComputeError, match=message):
        results.extend(executor(retries=1).map(partial(die_at, 4, str(log)), ITEMS, "working", "tasks"))
    assert noted(log).count("4") == 2
    assert len(results) == len(set(results))


@pytest.mark.parametrize(
    ("how", "group"),
    [
        pytest.param(signal.SIGINT, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
        (signal.SIGTERM, False),
        (signal.SIGKILL, False),
    ],
)
def test_no_worker_outlives_its_parent(tmp_path: Path, how: signal.Signals, group: bool) -> None:
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SCRIPT)
    run = subprocess.Popen(
        [sys.executable, str(script), str(log)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(noted(log)) == 2, 60)
        (os.killpg if group else os.kill)(run.pid, how)
        _, said = run.communicate(timeout=20)  # returns when the last worker has let go of stderr
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == {signal.SIGINT: -signal.SIGINT, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[how]
    wait_for(all_ended(noted(log)), 10)
    # One traceback of Ctrl-C, where nobody handles it; none of workers.
    assert said.count("Traceback") == (how is signal.SIGINT)


def all_ended(workers: list[str]) -> Callable[[], bool]:
    def ended() -> bool:
        return not any(
            Path(f"/proc/{one}/cmdline").exists() and Path(f"/proc/{one}/cmdline").read_bytes() for one in workers
        )

    return ended


def test_workers_end_when_nobody_wants_more_results() -> None:
    import multiprocessing

    results = executor().map(partial(doubled, seconds=0.2), list(range(100)), "doubling", "numbers")
    next(results)
    results.close()  # type: ignore[attr-defined]
    del results
    wait_for(lambda: not multiprocessing.active_children(), 10)
