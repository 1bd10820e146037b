"""Commands that are printed work as they are: they repeat the environment of the run, and name paths from where one is."""

from __future__ import annotations

import re
import shlex
from contextvars import ContextVar
from pathlib import Path

environment: ContextVar[str | None] = ContextVar("environment", default=None)
"""Of the context that this thread loaded last; None where it was not said."""
_COMMAND = re.compile(r"\bkedro run\b(?!.*(?:--env|--help))")


def with_environment(text: str, env: str | None) -> str:
    """A text whose commands ``kedro run`` name an environment, unless they name one already."""
    return _COMMAND.sub(f"kedro run --env {shlex.quote(env)}", text) if env else text


def in_environment(text: str) -> str:
    """The same, with the environment of the run."""
    return with_environment(text, environment.get())


def shown_path(path: Path) -> str:
    """A path from the working folder where possible."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
