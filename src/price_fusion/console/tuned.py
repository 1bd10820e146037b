"""How to take the parameters that ``tune_<variant>`` found."""

from __future__ import annotations

import shlex
from pathlib import Path

from kedro_datasets.yaml import YAMLDataset

from price_fusion.console.commands import shown_path, with_environment
from price_fusion.parameters.base import fields_of

DEFAULT_ENVIRONMENT = "local"
PATTERNS = ("**/parameters*.y*ml", "parameters*/**/*.y*ml")
"""Files of an environment that Kedro reads parameters from."""


def how_to_take(tuned: Path, variant: str, conf: Path, environment: str | None) -> str:
    """What to do so that a variant is trained with what was found.

    Args:
        tuned: file with the tuned fields alone.
        variant: whose fields they are.
        conf: the folder of configuration.
        environment: of the run; None: the default one.

    Returns:
        commands; before them the fields that another file of the environment has, too, which Kedro refuses.
    """
    folder = conf / (environment or DEFAULT_ENVIRONMENT)
    fields = _fields(tuned)
    files = {path for pattern in PATTERNS for path in folder.glob(pattern)} - {folder / tuned.name}
    repeated = {path: sorted(fields & _fields(path)) for path in sorted(files)}
    removals = [f"{', '.join(found)} from {shown_path(path)}" for path, found in repeated.items() if found]
    run = with_environment(f"kedro run --pipelines {variant}", environment)
    commands = f"cp {shlex.quote(shown_path(tuned))} {shlex.quote(shown_path(folder))}/\n{run}"
    if not removals:
        return f"To train with these parameters:\n{commands}"
    listed = "; ".join(removals)
    return f"To train with these parameters, remove {listed} (a field may be in one file of an environment), then:\n{commands}"


def _fields(path: Path) -> set[str]:
    """Fields of a YAML file by their path."""
    return set(fields_of(YAMLDataset(filepath=str(path)).load() or {}))
