"""Commands that are printed work as they are: they repeat the options of the run, and name paths from where one is."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path

from price_fusion.command_options import CommandOptions

options: ContextVar[CommandOptions] = ContextVar("options", default=CommandOptions())  # noqa: B039 - cannot be changed
"""Of the context that this thread loaded last."""


def with_environment(text: str, env: str | None) -> str:
    """A text whose commands ``kedro run`` name an environment and the partitions of the run, unless they do already."""
    return options.get()._replace(env=env).added_to(text)


def in_environment(text: str) -> str:
    """The same, with the environment of the run."""
    return options.get().added_to(text)


def shown_path(path: Path) -> str:
    """A path from the working folder where possible."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
