"""A Ray cluster of three nodes on this machine: the same results as anywhere, whatever dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from price_fusion.compute import Executor, executor_of
from price_fusion.compute.local import LocalExecutor
from price_fusion.compute.ray import RayExecutor
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan
from price_fusion.errors import ComputeError, DataError, MissingPackageError
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.storage.partitions.parts import is_finished, write_partitions
from price_fusion.storage.store import Store
from support.cluster import (
    FASTER,
    PARTS,
    TESTS,
    OnANode,
    add_node,
    die_at,
    doubled,
    doubled_on_a_node,
    fail_at,
    noted,
    object_store,
    plan_of,
    raise_awkward,
    ray_cluster,
    wait_for,
)
from support.partitions import make_case

__all__ = ["object_store", "ray_cluster"]

HERE = LocalExecutor(ComputeParameters(workers=1))
HUNGRY = """
import signal, sys
from price_fusion.errors import ComputeError
from price_fusion.compute.ray import RayExecutor
from price_fusion.parameters.compute import ComputeParameters
from support.cluster import devour

before = signal.getsignal(signal.SIGTERM)
executor = RayExecutor(ComputeParameters(executor="ray", partitions=2, workers=1, retries=1, spill=sys.argv[1]))
assert signal.getsignal(signal.SIGTERM) is before
assert executor._ray.cluster_resources()["CPU"] == 1
try:
    list(executor.map(devour, [1], "devouring", "tasks"))
except ComputeError as error:
    print(error)
"""
SLEEPY = """
import signal, sys
from functools import partial
from price_fusion.compute.ray import RayExecutor
from price_fusion.compute.interruption import Interruption
from price_fusion.parameters.compute import ComputeParameters
from support.cluster import sleep_noted

def stop(number, frame):
    raise Interruption(number)

signal.signal(signal.SIGTERM, stop)
address, log = sys.argv[1:]
executor = RayExecutor(ComputeParameters(executor="ray", partitions=2, address=address))
list(executor.map(partial(sleep_noted, log), [60, 60], "sleeping", "tasks"))
"""


@pytest.fixture
def executor(ray_cluster: Any) -> RayExecutor:
    return executor_on(ray_cluster)


def executor_on(cluster: Any, retries: int = 1, workers: int | None = None) -> RayExecutor:
    found = executor_of(
        ComputeParameters(executor="ray", partitions=2, retries=retries, workers=workers, address=cluster.address)
    )
    assert isinstance(found, RayExecutor)
    return found


@pytest.mark.parametrize("items", [[], [4], list(range(20))])
def test_each_item_has_one_result(executor: RayExecutor, items: list[int]) -> None:
    assert sorted(executor.map(doubled, items, "doubling", "numbers")) == [2 * item for item in items]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, None])
def test_so_many_tasks_at_a_time(ray_cluster: Any, workers: int | None) -> None:
    executor = executor_on(ray_cluster, workers=workers)
    assert executor._at_a_time() == (workers or 3)
    assert sorted(executor.map(doubled, range(4), "doubling", "numbers")) == [0, 2, 4, 6]


@pytest.mark.parametrize("error", [DataError("both are wrong", ["one", "another"]), ValueError("a bug")])
def test_errors_of_tasks_come_as_they_are(executor: RayExecutor, tmp_path: Path, error: Exception) -> None:
    log = tmp_path / "log"
    with pytest.raises(type(error)) as caught:
        list(executor.map(partial(fail_at, 0, error, str(log)), [0, 1, 2], "working", "tasks"))
    assert type(caught.value) is type(error)
    assert (str(caught.value), vars(caught.value)) == (str(error), vars(error))
    assert noted(log) == ["1", "2"]  # the others had begun, and came to their end


def test_errors_that_cannot_travel_are_described(executor: RayExecutor) -> None:
    with pytest.raises(RuntimeError, match="Awkward: first and second"):
        list(executor.map(raise_awkward, [0], "working", "tasks"))


@pytest.mark.slow
def test_too_little_memory(executor: RayExecutor, tmp_path: Path) -> None:
    task = partial(fail_at, 0, MemoryError("Unable to allocate 9 TiB"), str(tmp_path / "log"))
    with pytest.raises(
        ComputeError, match=r"working: a task ran out of memory, with 1 of 1 tasks.*compute\.partitions"
    ):
        list(executor.map(task, [0], "working", "tasks"))


@pytest.mark.slow
def test_the_task_of_a_worker_that_died_is_begun_again(executor: RayExecutor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = list(executor.map(partial(die_at, 2, str(log), times=1), range(5), "working", "tasks"))
    assert sorted(results) == [0, 2, 4, 6, 8]
    assert noted(log).count("2") == 2


def test_the_same_files_as_here(executor: RayExecutor, object_store: str, tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "log")
    expected = write_partitions(str(tmp_path / "here"), plan, HERE)
    files = files_of(expected.url)
    for url in (str(tmp_path / "there"), f"{object_store}/{uuid4().hex}"):
        found = write_partitions(url, plan, executor)
        assert found.fingerprint == expected.fingerprint
        assert files_of(url) == files
        assert is_finished(url)


def files_of(url: str) -> dict[str, bytes]:
    store = Store(url)
    return {name: store.read(name) for name in store.names()}


def test_workers_that_die_again_and_again_leave_what_is_finished(executor: RayExecutor, tmp_path: Path) -> None:
    url, log = str(tmp_path / "table"), tmp_path / "log"
    message = r"writing .*: workers died 2 times \(killed.*with \d of 5 tasks to go.*kept.*compute\.partitions.*compute\.retries"
    with pytest.raises(ComputeError, match=message):
        write_partitions(url, plan_of(log, dies_at=PARTS - 1), executor)
    assert noted(log).count(str(PARTS - 1)) == 2
    assert not is_finished(url)
    log.unlink()
    assert write_partitions(url, plan_of(log), HERE).fingerprint
    assert noted(log) == [str(PARTS - 1)]


def remove_as_it_works(cluster: Any, node: Any, log: Path) -> None:
    """Take a node away as soon as a task on it has begun."""
    wait_for(lambda: node.node_id in noted(log), seconds=120)
    cluster.remove_node(node, allow_graceful=False)


def test_a_node_that_goes_away(ray_cluster: Any, tmp_path: Path) -> None:
    executor, log = executor_on(ray_cluster, retries=3), tmp_path / "log"
    node = add_node(ray_cluster)

    removal = threading.Thread(target=remove_as_it_works, args=(ray_cluster, node, log))
    removal.start()
    results = list(executor.map(partial(doubled_on_a_node, str(log), node.node_id), range(12), "doubling", "numbers"))
    removal.join()
    assert sorted(results) == [2 * item for item in range(12)]
    assert len(noted(log)) > 12
    assert len(set(noted(log))) == 4


def test_alignment_and_prices_are_those_of_here_though_nodes_go_away(
    ray_cluster: Any, tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    case = make_case(tmp_path, make_checkpoint)
    plans = {
        "samples": alignment_plan(PartitionAlignment(case.products, case.tables, "keep", "keep", "products")),
        "priced": case.pricing().plan(),
    }
    executor = executor_on(ray_cluster, retries=3)
    for name, plan in plans.items():
        expected = write_partitions(str(tmp_path / f"{name} here"), plan, HERE)
        node, log = add_node(ray_cluster), tmp_path / f"{name}.log"
        removal = threading.Thread(target=remove_as_it_works, args=(ray_cluster, node, log))
        removal.start()
        task = OnANode(plan.task, str(log), node.node_id)
        found = write_partitions(str(tmp_path / f"{name} there"), replace(plan, task=task), executor)
        removal.join()
        assert len(noted(log)) > plan.parts  # what the node was doing was begun again
        assert found.fingerprint == expected.fingerprint
        assert files_of(found.url) == files_of(expected.url)


@pytest.mark.slow
def test_all_others_are_given_up_when_nobody_wants_more(executor: RayExecutor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = executor.map(partial(doubled, log=str(log), seconds=0.3), range(100), "doubling", "numbers")
    next(results)
    results.close()  # type: ignore[attr-defined]
    # Their cores are free.
    assert list(executor.map(doubled, [1], "doubling", "numbers")) == [2]
    wait_for(lambda: executor._ray.available_resources().get("CPU") == 3)
    assert len(noted(log)) < 10


@pytest.mark.parametrize("kind", ["NodeDiedError", "ObjectLostError", "RaySystemError", "OutOfMemoryError"])
def test_what_else_may_die(executor: RayExecutor, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    errors = executor._ray.exceptions
    arguments = ("0" * 56, None, "") if kind == "ObjectLostError" else ("it is gone\nand more",)
    error = getattr(errors, kind)(*arguments)

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(Future, "result", fail)
    expected = (
        "memory of their machine" if kind == "OutOfMemoryError" else rf"lost a task \({kind}: [^\n]*\), with 1 of 1"
    )
    with pytest.raises(ComputeError, match=f"working: .*{expected}.*kept.*compute.retries"):
        list(executor.map(doubled, [1], "working", "tasks"))


@pytest.mark.slow
def test_tasks_end_with_the_run_that_is_interrupted(ray_cluster: Any, tmp_path: Path) -> None:
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SLEEPY)
    run = subprocess.Popen(
        [sys.executable, script, ray_cluster.address, log], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: len(noted(log)) == 2 or run.poll() is not None, 60)
        run.terminate()
        out, err = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == 128 + signal.SIGTERM, err
    assert (out, err) == ("", "")
    for worker in noted(log):
        wait_for(lambda path=Path("/proc", worker, "cmdline"): not path.exists(), 10)  # type: ignore[misc]


@pytest.mark.slow
def test_a_machine_without_memory(tmp_path: Path) -> None:
    """Ray's own monitor ends the workers, on a cluster of one node that it began for this run."""
    script = tmp_path / "script.py"
    script.write_text(HUNGRY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    monitor = {
        "PYTHONPATH": str(TESTS),
        "RAY_AUTH_MODE": FASTER["RAY_AUTH_MODE"],
        "RAY_memory_monitor_refresh_ms": "100",
        "RAY_memory_usage_threshold": f"{memory_in_use() + 0.04:.3f}",
    }
    command = [sys.executable, script, tmp_path / "spill"]
    result = subprocess.run(command, env=environment | monitor, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert (
        "devouring: Ray ended workers because the memory of their machine was running out, with 1 of 1" in result.stdout
    )
    assert "Warning" not in result.stderr


def memory_in_use() -> float:
    """The share of this machine's."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    sizes = {line[0]: int(line[1]) for line in lines}
    return 1 - sizes["MemAvailable:"] / sizes["MemTotal:"]


@pytest.mark.slow
def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{1}".format(*free.getsockname())
    for wrong in (address, f"ray://{address}", "nonsense"):
        code = f"""
from price_fusion.errors import ComputeError
from price_fusion.compute.ray import RayExecutor
from price_fusion.parameters.compute import ComputeParameters
try:
    RayExecutor(ComputeParameters(executor="ray", partitions=2, address={wrong!r}))
except ComputeError as error:
    print(error)
"""
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert result.stdout.startswith(f"{wrong}: no Ray cluster answers there ("), result.stderr
        assert "compute.address" in result.stdout


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r'lock --editable "\.\[ray\]"'):
        executor_of(ComputeParameters(executor="ray", partitions=2))


def test_both_are_executors(executor: RayExecutor) -> None:
    for one in (executor, HERE):
        checked: Executor = one
        assert list(checked.map(doubled, [3], "doubling", "numbers")) == [6]
