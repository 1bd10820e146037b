"""A Ray cluster and an object store on this machine, and tasks to run on them.

Test modules import the fixtures by name. Both are of a module, so that one process has them at a time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from price_fusion.storage.partitions.parts import PartitionPlan, Summary, Tables

PARTITIONS, PARTS = 3, 5
TESTS = Path(__file__).parents[1]
FASTER = {
    "RAY_AUTH_MODE": "disabled",  # Ray would write a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": "1",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "2",
}
"""Settings of Ray in tests: a node that is gone is noticed in a second, not in half a minute."""


@pytest.fixture(scope="module")
def object_store() -> Iterator[str]:
    """Address of an empty bucket of a server that speaks S3; workers of this process find it, too."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        use_store(patch, "http://{}:{}".format(*server.get_host_and_port()))
        address = f"s3://bucket-{uuid4().hex[:8]}"
        s3fs.S3FileSystem().mkdir(address)
        yield address
    forget_stores()
    server.stop()


def use_store(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let all ``s3://`` addresses of this process and of those that it starts be of one server."""
    settings = {"FSSPEC_S3_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}
    for name, value in {**settings, "AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret"}.items():
        patch.setenv(name, value)
    forget_stores()
    fsspec.config.set_conf_env(fsspec.config.conf)


def forget_stores() -> None:
    """Forget settings and connections of object stores."""
    import s3fs

    fsspec.config.conf.pop("s3", None)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def ray_cluster(object_store: str) -> Iterator[Any]:
    """A Ray cluster of three nodes with one core each; this process is connected to the head."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in FASTER.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(TESTS))  # where workers find this module
        import ray
        from ray._private.utils import get_ray_address_file
        from ray.cluster_utils import Cluster

        cluster = Cluster(
            True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
        )
        Path(get_ray_address_file(None)).unlink()  # or whoever uses Ray on this machine would find this cluster
        for _ in range(2):
            add_node(cluster)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: Any) -> Any:
    """A new node with one core."""
    return cluster.add_node(num_cpus=1, object_store_memory=80_000_000)


def make_part(
    log: str, partitions: int, part: int, *, seed: int = 0, fails_at: int | None = None, dies_at: int | None = None
) -> tuple[Tables, Summary]:
    """Rows for some of the partitions, always the same; each call leaves a line in a file."""
    note(log, part)
    if part == fails_at:
        raise ValueError(f"part {part}")
    if part == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    generator = np.random.default_rng((seed, part))
    tables = {}
    for partition in range(part % 2, partitions):
        ids = generator.integers(0, 1_000, 40 + part)
        tables[partition] = pa.table({"id": ids, "vector": pa.array([row.tobytes() for row in ids], pa.binary(8))})
    return tables, {"part": part}


def plan_of(log: Path, recipe: str = "a", **options: Any) -> PartitionPlan:
    """A small table in partitions."""
    task = partial(make_part, str(log), PARTITIONS, **options)
    return PartitionPlan(task, PARTS, PARTITIONS, recipe, {"about": "tests"})


def note(log: str, what: object) -> None:
    """Add a line to a file."""
    with Path(log).open("a") as file:
        file.write(f"{what}\n")


def noted(log: Path) -> list[str]:
    """The lines that were added, in order of their names."""
    return sorted(log.read_text().split()) if log.exists() else []


def doubled(number: int, *, log: str | None = None, seconds: float = 0.0) -> int:
    """Twice a number."""
    time.sleep(seconds)
    if log is not None:
        note(log, number)
    return 2 * number


def begin_on_a_node(log: str, doomed: str) -> None:
    """Note the node of Ray that this is on; on the doomed one stay until it is taken away, elsewhere until it has begun.

    So it has a task to lose, however busy the machine is.
    """
    import ray

    own = ray.get_runtime_context().get_node_id()
    note(log, own)
    if own == doomed:
        time.sleep(600)
    wait_for(lambda: doomed in noted(Path(log)), seconds=120)


def doubled_on_a_node(log: str, doomed: str, number: int) -> int:
    """Twice a number, begun as ``begin_on_a_node`` says."""
    begin_on_a_node(log, doomed)
    return doubled(number)


@dataclass(frozen=True)
class OnANode:
    """A task that begins as ``begin_on_a_node`` says."""

    task: Callable[[int], Any]
    log: str
    doomed: str

    def __call__(self, item: int) -> Any:
        begin_on_a_node(self.log, self.doomed)
        return self.task(item)


def fail_at(number: int, error: Exception, log: str, item: int) -> int:
    """Raise an error for one item; others take a little longer."""
    if item == number:
        raise error
    return doubled(item, log=log, seconds=1.0)


def die_at(number: int, log: str, item: int, *, times: int = 1_000_000) -> int:
    """Kill the own process at one item, so many times."""
    note(log, item)
    if item == number and noted(Path(log)).count(str(item)) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Return as soon as something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.05)


class Awkward(Exception):  # noqa: N818
    """An error that does not survive pickling."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def raise_awkward(_: int) -> None:
    """Raise an error that does not survive pickling."""
    raise Awkward("first", "second")


def sleep_noted(log: str, seconds: float) -> None:
    """Note the own process, and sleep."""
    note(log, os.getpid())
    time.sleep(seconds)


def devour(_: int) -> None:
    """Take 160 MB more ten times a second, up to 5 GB."""
    taken = []
    for _ in range(32):
        taken.append(np.ones(20_000_000))
        time.sleep(0.1)
