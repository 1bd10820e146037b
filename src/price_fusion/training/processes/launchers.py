"""Who starts the processes that train one model: torch's elastic launcher, or Ray Train. All begin again when one dies."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from price_fusion.compute.interruption import command_with
from price_fusion.compute.ray import connected
from price_fusion.errors import ComputeError
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.training.processes.workers import POLL, Messages, Work, train_as_worker


def _died(work: Work, messages: Messages, compute: ComputeParameters) -> ComputeError:
    trouble = messages.trouble.read_text(encoding="utf-8").strip() if messages.trouble.exists() else ""
    last = f" The last one said: {trouble.splitlines()[-1]}" if trouble else ""
    return ComputeError(
        f"{work.name}: training processes died {compute.retries + 1} times, killed or out of memory: compute.retries is "
        f"{compute.retries}.{last} Lower compute.memory_gb or compute.training_processes, and go on from the last state, if there "
        f"is one, with\n{command_with(f'{work.name}.train.resume=true')}"
    )


def launch_here(work: Work, messages: Messages, compute: ComputeParameters) -> None:
    """Start processes on this machine, all again when one dies."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    count = compute.training_processes
    threads = work.threads or max(1, len(os.sched_getaffinity(0)) // count)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=f"{work.name}-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=compute.retries,
        monitor_interval=POLL,
    )
    with _silent_launcher():
        try:
            elastic_launch(config, train_as_worker)(replace(work, threads=threads), messages)
        except ChildFailedError as error:
            raise _died(work, messages, compute) from error


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


def launch_by_ray(work: Work, messages: Messages, compute: ComputeParameters) -> None:
    """Have Ray Train start processes, wherever it has room for them, all again when one dies."""
    ray = connected(compute)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")  # of Ray to itself
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        spec = replace(work, threads=work.threads or 1)
        trainer = TorchTrainer(
            lambda _: train_as_worker(spec, messages),
            train_loop_config={},
            scaling_config=ScalingConfig(num_workers=compute.training_processes, use_gpu=work.on_gpu),
            run_config=RunConfig(
                name="ray",
                storage_path=str(messages.path),
                failure_config=FailureConfig(max_failures=compute.retries),
            ),
        )
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise _died(work, messages, compute) from error
