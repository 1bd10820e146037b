"""What executors have in common, and which one runs tasks."""

from __future__ import annotations

import pickle
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from price_fusion.compute.progress import tracked
from price_fusion.errors import ComputeError
from price_fusion.parameters.compute import ComputeParameters

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(ABC):
    """Runs tasks, several at a time."""

    def map(self, task: Callable[[Item], Result], items: Sequence[Item], label: str, unit: str) -> Iterator[Result]:
        """Results of the task for each item, in the order in which they come; with progress.

        A task that fails because its worker died is begun again, ``retries`` times.

        Args:
            task: must survive pickling.
            items: likewise.
            label: what is done, for progress.
            unit: what is counted.

        Raises:
            ComputeError: if a worker died too often, or memory does not suffice.
            PriceFusionError: that a task raised; others that run are waited for first, so that what they finish is kept.
        """
        return tracked(self._results(task, items, label), label, unit, total=len(items))

    @abstractmethod
    def _results(self, task: Callable[[Item], Result], items: Sequence[Item], label: str) -> Iterator[Result]:
        """As ``map``, without progress."""


def executor_of(parameters: ComputeParameters) -> Executor:
    """The executor that parameters ask for.

    Raises:
        MissingPackageError: if it is Ray, which is not installed.
        ComputeError: if it is Ray, and the cluster cannot be reached.
    """
    if parameters.executor == "ray":
        from price_fusion.compute.ray import RayExecutor

        return RayExecutor(parameters)
    from price_fusion.compute.local import LocalExecutor

    return LocalExecutor(parameters)


def run_task(task: Callable[[Item], Result], item: Item) -> Result:
    """Run a task in a worker; an error that could not be sent back is described by another one that can."""
    try:
        return task(item)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301
        except Exception:
            raise RuntimeError("".join(traceback.format_exception(error))) from None
        raise


def has_failed(future: Future[Result]) -> bool:
    """Whether a task that is done raised an error: to see to those that did not first."""
    return future.exception() is not None


def out_of_memory(what: str) -> ComputeError:
    """The error for workers that died, or did not get the memory that they asked for."""
    return ComputeError(
        f"{what}. What is finished is kept. Raise compute.partitions, so that a task holds less, or lower compute.workers, so that "
        "fewer are in memory at a time; compute.retries says how often a task is begun again. Then give the same command again."
    )
