"""Hooks: parameters are checked before anything runs, and a run ends with what it found and wrote."""

from __future__ import annotations

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from price_fusion import pipeline_registry
from price_fusion.current_project import CurrentProject
from price_fusion.summary import NodeTimes, RunSummary


class ParameterHooks:
    """Checks all parameters, and builds the pipelines of the sources and variants that they name.

    Args:
        project: is read here, before other hooks ask of it.
    """

    def __init__(self, project: CurrentProject) -> None:
        self._project = project

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Stop here if any parameter is wrong."""
        pipeline_registry.use_parameters(self._project.read(context).parameters)


class SummaryHooks:
    """Prints what a run found, and the paths of what it wrote."""

    def __init__(self, times: NodeTimes) -> None:
        self._summary = RunSummary(times)

    @hook_impl
    def after_node_run(self, node: Node, catalog: CatalogProtocol[Any, Any], outputs: dict[str, Any]) -> None:
        """Note outputs worth printing and where they were saved."""
        for name, data in outputs.items():
            path = getattr(catalog.get(name), "_filepath", None)
            self._summary.add(name, data, path)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the summary."""
        self._summary.print()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Forget what there was: another run of this process begins anew."""
        self._summary.forget()
