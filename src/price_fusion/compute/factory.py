"""The engine that runs tasks, as parameters ask for it."""

from __future__ import annotations

from price_fusion.compute.executor import Engine
from price_fusion.parameters.engine import EngineParameters


def engine_of(parameters: EngineParameters) -> Engine:
    """The engine that parameters ask for.

    Raises:
        MissingPackageError: if it is Ray, which is not installed.
        EngineError: if it is Ray, and the cluster cannot be reached.
    """
    if parameters.kind == "ray":
        from price_fusion.compute.ray import RayEngine

        return RayEngine(parameters)
    from price_fusion.compute.local import LocalEngine

    return LocalEngine(parameters)
