"""Parameters are checked before anything runs, and pipelines are built of them."""

from __future__ import annotations

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from price_fusion import pipeline_registry
from price_fusion.hooks.current_project import CurrentProject


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
