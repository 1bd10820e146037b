"""Pipelines that a user added to ``pipelines/``, as ``kedro pipeline create`` does, beside the built-in ones."""

from __future__ import annotations

import importlib
import traceback
import warnings
from collections.abc import Collection
from pathlib import Path

from kedro.pipeline import Node, Pipeline

from price_fusion import pipelines
from price_fusion.errors import PipelineError

BUILT_IN = frozenset(
    [
        "ablation",
        "alignment",
        "comparison",
        "cross_validation",
        "ensembling",
        "evaluation",
        "export",
        "fabrication",
        "final_fit",
        "inference",
        "ingestion",
        "leaks",
        "reporting",
        "splitting",
        "training",
        "tuning",
    ]
)
"""Folders of ``pipelines/`` that come with the project."""


def own_names() -> tuple[str, ...]:
    """Names of the folders in ``pipelines/`` that hold Python files and are not built in, without importing any.

    Those that begin with ``_`` or ``.`` are left out.
    """
    folders = (folder for place in pipelines.__path__ for folder in Path(place).iterdir() if folder.is_dir())
    found = {folder.name for folder in folders if folder.name[0] not in "._" and any(folder.glob("*.py"))}
    return tuple(sorted(found - BUILT_IN))


def own_outputs(pipeline: Pipeline) -> frozenset[str]:
    """What nodes save whose functions are a user's own: names that end like those of built-in outputs mean nothing there."""
    own = (node for node in pipeline.nodes if not _is_built_in(node))
    return frozenset(name for node in own for name in node.outputs)


def own_pipelines(taken: Collection[str]) -> dict[str, Pipeline]:
    """The pipeline that ``create_pipeline()`` of each own folder gives, by the name of the folder.

    Args:
        taken: names of the other pipelines, and of the sections of parameters.

    Raises:
        PipelineError: naming the file, if a folder has a name that is taken, cannot be imported, has no
            ``create_pipeline``, or that gives something else than a pipeline.
    """
    with warnings.catch_warnings():
        # As in pipeline_registry.py: names such as moe.predictions have dots on purpose.
        warnings.filterwarnings("ignore", message="One or more dataset names contain '.'")
        return {name: _created(name, taken) for name in own_names()}


def _created(name: str, taken: Collection[str]) -> Pipeline:
    folder = _folder(name)
    if name in taken:
        raise PipelineError(
            f"{folder}: there is a pipeline or a section of parameters called {name!r} already. Rename the folder."
        )
    try:
        module = importlib.import_module(f"{pipelines.__name__}.{name}")
        create = getattr(module, "create_pipeline", None)
        created = create() if callable(create) else None
    except Exception as error:
        # Whatever its code raises: only the file and line help who wrote it.
        raise PipelineError(
            f"{_place(folder, error)}: {type(error).__name__}: {error}. The pipeline {name!r} cannot be built, so no "
            "pipeline can. Correct the file; to set the pipeline aside, let the name of its folder begin with '_'."
        ) from error
    if not callable(create):
        raise PipelineError(
            f"{folder / '__init__.py'}: has no create_pipeline, expected 'from .pipeline import create_pipeline' there. To "
            f"keep other code in this folder, let its name begin with '_' (docs/extending.md)."
        )
    if not isinstance(created, Pipeline):
        raise PipelineError(
            f"{folder / 'pipeline.py'}: create_pipeline() gives {type(created).__name__}, expected a kedro.pipeline.Pipeline."
        )
    return created


def _is_built_in(node: Node) -> bool:
    package, _, rest = getattr(node.func, "__module__", "").partition(f"{pipelines.__name__}.")
    return not package and rest.partition(".")[0] in BUILT_IN


def _folder(name: str) -> Path:
    return next(Path(place) / name for place in pipelines.__path__ if (Path(place) / name).is_dir())


def _place(folder: Path, error: Exception) -> str:
    """File and line of the folder that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if folder in Path(frame.filename).parents]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else str(folder)
