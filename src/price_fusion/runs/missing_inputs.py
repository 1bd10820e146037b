"""Which pipelines make what a run lacks."""

from __future__ import annotations

from collections.abc import Mapping, Set

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
    missing &= {name for one in pipelines.values() for name in one.all_outputs()}
    if not missing:
        return ""
    chosen = pipelines_making(missing, pipeline.inputs(), pipelines)
    listed = ", ".join(sorted(missing))
    return with_environment(f"Missing: {listed}. Run first: kedro run --pipelines {','.join(chosen)}", env)


def pipelines_making(wanted: Set[str], read: Set[str], pipelines: Mapping[str, Pipeline]) -> list[str]:
    """The smallest pipeline that makes all of some datasets; where none does, the smallest that makes each.

    Args:
        wanted: names of the datasets; those that no pipeline makes are left out.
        read: names of all that the run reads: of two pipelines of one size, the one that makes more of it is chosen.
        pipelines: of the project, by name.
    """
    made = {name: wanted & one.all_outputs() for name, one in pipelines.items()}
    makeable: set[str] = set().union(*made.values())
    related = {name: len(read & one.all_outputs()) for name, one in pipelines.items()}
    smallest = sorted(made, key=lambda name: (len(pipelines[name].nodes), -related[name]))
    whole = [name for name in smallest if makeable and made[name] == makeable]
    return whole[:1] or list(
        dict.fromkeys(next(one for one in smallest if name in made[one]) for name in sorted(makeable))
    )


def _is_missing(name: str, catalog: Catalog) -> bool:
    path = None if name.startswith("params:") else path_of(catalog, name)
    return path is not None and not path.exists()
