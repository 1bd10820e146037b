"""Which pipelines make what a run lacks."""

from __future__ import annotations

from collections.abc import Mapping

from kedro.pipeline import Pipeline

from price_fusion.console.commands import with_environment
from price_fusion.runs.journal import Catalog, path_of


def how_to_make(pipeline: Pipeline, catalog: Catalog, pipelines: Mapping[str, Pipeline], env: str | None) -> str:
    """The command that makes the files that a pipeline reads and that are missing; empty where none does.

    Args:
        pipeline: that failed.
        catalog: of its run.
        pipelines: of the project, by name.
        env: the environment of the run, which the command repeats.
    """
    missing = {name for name in pipeline.inputs() if _is_missing(name, catalog)}
    made = {name: missing & one.all_outputs() for name, one in pipelines.items()}
    missing &= set().union(*made.values())
    if not missing:
        return ""
    related = {name: len(pipeline.inputs() & one.all_outputs()) for name, one in pipelines.items()}
    smallest = sorted(made, key=lambda name: (len(pipelines[name].nodes), -related[name]))
    whole = [name for name in smallest if made[name] == missing]
    chosen = whole[:1] or list(
        dict.fromkeys(next(one for one in smallest if name in made[one]) for name in sorted(missing))
    )
    listed = ", ".join(sorted(missing))
    return with_environment(f"Missing: {listed}. Run first: kedro run --pipelines {','.join(chosen)}", env)


def _is_missing(name: str, catalog: Catalog) -> bool:
    path = None if name.startswith("params:") else path_of(catalog, name)
    return path is not None and not path.exists()
