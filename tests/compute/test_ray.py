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

from price_fusion.compute import Engine, engine_of
from price_fusion.compute.local import LocalEngine
from price_fusion.compute.ray import RayEngine
from price_fusion.data.buckets.bucket_alignment import BucketAlignment, alignment_plan
from price_fusion.errors import DataError, EngineError, MissingPackageError
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters.engine import EngineParameters
from price_fusion.storage.buckets.parts import is_finished, write_buckets
from price_fusion.storage.store import Store
from support.buckets import make_case
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

__all__ = ["object_store", "ray_cluster"]

HERE = LocalEngine(EngineParameters(workers=1))
HUNGRY = """
import signal, sys
from price_fusion.errors import EngineError
from price_fusion.compute.ray import RayEngine
from price_fusion.parameters.engine import EngineParameters
from support.cluster import devour

before = signal.getsignal(signal.SIGTERM)
engine = RayEngine(EngineParameters(kind="ray", buckets=2, workers=1, retries=1, spill=sys.argv[1]))
assert signal.getsignal(signal.SIGTERM) is before
assert engine._ray.cluster_resources()["CPU"] == 1
try:
    list(engine.map(devour, [1], "devouring", "tasks"))
except EngineError as error:
    print(error)
"""
SLEEPY = """
import signal, sys
from functools import partial
from price_fusion.compute.ray import RayEngine
from price_fusion.compute.interruption import Interruption
from price_fusion.parameters.engine import EngineParameters
from support.cluster import sleep_noted

def stop(number, frame):
    raise Interruption(number)

signal.signal(signal.SIGTERM, stop)
address, log = sys.argv[1:]
engine = RayEngine(EngineParameters(kind="ray", buckets=2, address=address))
list(engine.map(partial(sleep_noted, log), [60, 60], "sleeping", "tasks"))
"""


@pytest.fixture
def engine(ray_cluster: Any) -> RayEngine:
    return engine_on(ray_cluster)


def engine_on(cluster: Any, retries: int = 1, workers: int | None = None) -> RayEngine:
    found = engine_of(
        EngineParameters(kind="ray", buckets=2, retries=retries, workers=workers, address=cluster.address)
    )
    assert isinstance(found, RayEngine)
    return found


@pytest.mark.parametrize("items", [[], [4], list(range(20))])
def test_each_item_has_one_result(engine: RayEngine, items: list[int]) -> None:
    assert sorted(engine.map(doubled, items, "doubling", "numbers")) == [2 * item for item in items]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, None])
def test_so_many_tasks_at_a_time(ray_cluster: Any, workers: int | None) -> None:
    engine = engine_on(ray_cluster, workers=workers)
    assert engine._at_a_time() == (workers or 3)
    assert sorted(engine.map(doubled, range(4), "doubling", "numbers")) == [0, 2, 4, 6]


@pytest.mark.parametrize("error", [DataError("both are wrong", ["one", "another"]), ValueError("a bug")])
def test_errors_of_tasks_come_as_they_are(engine: RayEngine, tmp_path: Path, error: Exception) -> None:
    log = tmp_path / "log"
    with pytest.raises(type(error)) as caught:
        list(engine.map(partial(fail_at, 0, error, str(log)), [0, 1, 2], "working", "tasks"))
    assert type(caught.value) is type(error)
    assert (str(caught.value), vars(caught.value)) == (str(error), vars(error))
    assert noted(log) == ["1", "2"]  # the others had begun, and came to their end


def test_errors_that_cannot_travel_are_described(engine: RayEngine) -> None:
    with pytest.raises(RuntimeError, match="Awkward: first and second"):
        list(engine.map(raise_awkward, [0], "working", "tasks"))


@pytest.mark.slow
def test_too_little_memory(engine: RayEngine, tmp_path: Path) -> None:
    task = partial(fail_at, 0, MemoryError("Unable to allocate 9 TiB"), str(tmp_path / "log"))
    with pytest.raises(EngineError, match=r"working: a task ran out of memory, with 1 of 1 tasks.*engine\.buckets"):
        list(engine.map(task, [0], "working", "tasks"))


@pytest.mark.slow
def test_the_task_of_a_worker_that_died_is_begun_again(engine: RayEngine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = list(engine.map(partial(die_at, 2, str(log), times=1), range(5), "working", "tasks"))
    assert sorted(results) == [0, 2, 4, 6, 8]
    assert noted(log).count("2") == 2


def test_the_same_files_as_here(engine: RayEngine, object_store: str, tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "log")
    expected = write_buckets(str(tmp_path / "here"), plan, HERE)
    files = files_of(expected.url)
    for url in (str(tmp_path / "there"), f"{object_store}/{uuid4().hex}"):
        found = write_buckets(url, plan, engine)
        assert found.fingerprint == expected.fingerprint
        assert files_of(url) == files
        assert is_finished(url)


def files_of(url: str) -> dict[str, bytes]:
    store = Store(url)
    return {name: store.read(name) for name in store.names()}


def test_workers_that_die_again_and_again_leave_what_is_finished(engine: RayEngine, tmp_path: Path) -> None:
    url, log = str(tmp_path / "table"), tmp_path / "log"
    message = (
        r"writing .*: workers died 2 times \(killed.*with \d of 5 tasks to go.*kept.*engine\.buckets.*engine\.retries"
    )
    with pytest.raises(EngineError, match=message):
        write_buckets(url, plan_of(log, dies_at=PARTS - 1), engine)
    assert noted(log).count(str(PARTS - 1)) == 2
    assert not is_finished(url)
    log.unlink()
    assert write_buckets(url, plan_of(log), HERE).fingerprint
    assert noted(log) == [str(PARTS - 1)]


def remove_as_it_works(cluster: Any, node: Any, log: Path) -> None:
    """Take a node away as soon as a task on it has begun."""
    wait_for(lambda: node.node_id in noted(log), seconds=120)
    cluster.remove_node(node, allow_graceful=False)


def test_a_node_that_goes_away(ray_cluster: Any, tmp_path: Path) -> None:
    engine, log = engine_on(ray_cluster, retries=3), tmp_path / "log"
    node = add_node(ray_cluster)

    removal = threading.Thread(target=remove_as_it_works, args=(ray_cluster, node, log))
    removal.start()
    results = list(engine.map(partial(doubled_on_a_node, str(log), node.node_id), range(12), "doubling", "numbers"))
    removal.join()
    assert sorted(results) == [2 * item for item in range(12)]
    assert len(noted(log)) > 12
    assert len(set(noted(log))) == 4


def test_alignment_and_prices_are_those_of_here_though_nodes_go_away(
    ray_cluster: Any, tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    case = make_case(tmp_path, make_checkpoint)
    plans = {
        "samples": alignment_plan(BucketAlignment(case.products, case.tables, "keep", "keep", "products")),
        "priced": case.pricing().plan(),
    }
    engine = engine_on(ray_cluster, retries=3)
    for name, plan in plans.items():
        expected = write_buckets(str(tmp_path / f"{name} here"), plan, HERE)
        node, log = add_node(ray_cluster), tmp_path / f"{name}.log"
        removal = threading.Thread(target=remove_as_it_works, args=(ray_cluster, node, log))
        removal.start()
        task = OnANode(plan.task, str(log), node.node_id)
        found = write_buckets(str(tmp_path / f"{name} there"), replace(plan, task=task), engine)
        removal.join()
        assert len(noted(log)) > plan.parts  # what the node was doing was begun again
        assert found.fingerprint == expected.fingerprint
        assert files_of(found.url) == files_of(expected.url)


@pytest.mark.slow
def test_all_others_are_given_up_when_nobody_wants_more(engine: RayEngine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = engine.map(partial(doubled, log=str(log), seconds=0.3), range(100), "doubling", "numbers")
    next(results)
    results.close()  # type: ignore[attr-defined]
    # Their cores are free.
    assert list(engine.map(doubled, [1], "doubling", "numbers")) == [2]
    wait_for(lambda: engine._ray.available_resources().get("CPU") == 3)
    assert len(noted(log)) < 10


@pytest.mark.parametrize("kind", ["NodeDiedError", "ObjectLostError", "RaySystemError", "OutOfMemoryError"])
def test_what_else_may_die(engine: RayEngine, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    errors = engine._ray.exceptions
    arguments = ("0" * 56, None, "") if kind == "ObjectLostError" else ("it is gone\nand more",)
    error = getattr(errors, kind)(*arguments)

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(Future, "result", fail)
    expected = (
        "memory of their machine" if kind == "OutOfMemoryError" else rf"lost a task \({kind}: [^\n]*\), with 1 of 1"
    )
    with pytest.raises(EngineError, match=f"working: .*{expected}.*kept.*engine.retries"):
        list(engine.map(doubled, [1], "working", "tasks"))


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
from price_fusion.errors import EngineError
from price_fusion.compute.ray import RayEngine
from price_fusion.parameters.engine import EngineParameters
try:
    RayEngine(EngineParameters(kind="ray", buckets=2, address={wrong!r}))
except EngineError as error:
    print(error)
"""
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert result.stdout.startswith(f"{wrong}: no Ray cluster answers there ("), result.stderr
        assert "engine.address" in result.stdout


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'price-fusion\[ray\]'"):
        engine_of(EngineParameters(kind="ray", buckets=2))


def test_both_are_engines(engine: RayEngine) -> None:
    for one in (engine, HERE):
        checked: Engine = one
        assert list(checked.map(doubled, [3], "doubling", "numbers")) == [6]
