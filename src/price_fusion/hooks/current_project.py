"""What a run's parameters do to the pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings
from kedro.io import CatalogProtocol

from price_fusion import pipeline_registry
from price_fusion.command_options import CommandOptions
from price_fusion.console.commands import options
from price_fusion.errors import UsageError
from price_fusion.parameters import ProjectParameters
from price_fusion.runs.project_facts import ProjectFacts, current_project


class ParameterHooks:
    """Checks what a run is asked for, and builds the pipelines of the sources and variants that its parameters name."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Read and check the configuration.

        Raises:
            ParameterError: if any parameter is wrong, or a server would need other pipelines for them.
        """
        loader = context.config_loader
        raw = loader["parameters"]
        folder = Path(context.project_path)
        parameters = pipeline_registry.parse_parameters(raw)
        if getattr(loader, "restrict_runtime_params_type_selection", False):  # Kedro's mark of a session that serves
            pipeline_registry.use_of_server(parameters, lambda: _without_request(context))
        else:
            pipeline_registry.use_parameters(parameters)
        given = (loader.runtime_params or {}).get("compute") or {}
        options.set(CommandOptions(context.env, parameters.compute.partitions if "partitions" in given else None))
        current_project.set(ProjectFacts(folder, folder / loader["globals"]["data"], raw, parameters))

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol[Any, Any], load_versions: dict[str, str] | None) -> None:
        """Tell nodes their folders and what commands on pages need, and refuse a version of a dataset without versions, which Kedro would ignore.

        Raises:
            UsageError: naming it.
        """
        facts = current_project.get()
        for name, path in facts.folders.items() if facts else ():
            catalog[name] = path
        catalog["params:command_options"] = options.get()
        for name, version in (load_versions or {}).items():
            if getattr(catalog.get(name), "_version", None) is None:
                raise UsageError(
                    f"--load-versions: {name} has no versions, so {version} cannot be loaded. Leave the option out for what "
                    "is there now; to keep several, give each run a data folder of its own (data: in "
                    "conf/<environment>/globals.yml)."
                )


def _without_request(context: KedroContext) -> ProjectParameters:
    """What ``conf/`` alone says."""
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=context.config_loader.conf_source, env=context.env, **settings.CONFIG_LOADER_ARGS
    )
    return pipeline_registry.parse_parameters(loader["parameters"])
