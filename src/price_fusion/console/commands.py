"""Commands that are printed work as they are: they repeat the environment of the run and its partitions, and name paths from where one is."""

from __future__ import annotations

import re
import shlex
from contextvars import ContextVar
from pathlib import Path

environment: ContextVar[str | None] = ContextVar("environment", default=None)
"""Of the context that this thread loaded last; None where it was not said."""
partitions: ContextVar[int | None] = ContextVar("partitions", default=None)
"""``compute.partitions`` of that context, where ``--params`` gave it. What is made without it is no input of a run with it."""
_COMMAND = re.compile(
    r"\bkedro run\b(?!.*--help)(?P<options>(?: --(?!params )[a-z-]+(?: [^\s-]\S*)?)*)(?: --params (?P<params>\S+))?"
)


def with_environment(text: str, env: str | None) -> str:
    """A text whose commands ``kedro run`` name an environment and the partitions of the run, unless they do already."""
    number = partitions.get()

    def repeated(found: re.Match[str]) -> str:
        rest = text[found.start() :].partition("\n")[0]
        command = "kedro run"
        if env and "--env" not in rest:
            command += f" --env {shlex.quote(env)}"
        given = found["params"]
        own = f"compute.partitions={number}" if number and "compute.partitions=" not in (given or "") else None
        if own and not given:
            command += f" --params {own}"
        command += found["options"]
        return f"{command} --params {','.join(filter(None, (own, given)))}" if given else command

    return _COMMAND.sub(repeated, text) if env or number else text


def in_environment(text: str) -> str:
    """The same, with the environment of the run."""
    return with_environment(text, environment.get())


def shown_path(path: Path) -> str:
    """A path from the working folder where possible."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
