"""The executor that runs tasks, as parameters ask for it."""

from __future__ import annotations

from price_fusion.compute.executor import Executor
from price_fusion.parameters.compute import ComputeParameters


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
