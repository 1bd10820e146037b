"""Options that commands in texts need to work as they are: the environment of the run that says them, and its partitions."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

_COMMAND = re.compile(
    r"\bkedro run\b(?!.*--help)(?P<options>(?: --(?!params )[a-z-]+(?: [^\s-]\S*)?)*)(?: --params (?P<params>\S+))?"
)


class CommandOptions(NamedTuple):
    """What a run was given that its commands repeat.

    Attributes:
        env: its environment; None where it was not said.
        partitions: ``compute.partitions``, where ``--params`` gave it. What is made without it is no input of a run with it.
    """

    env: str | None = None
    partitions: int | None = None

    def added_to(self, text: str) -> str:
        """A text whose commands ``kedro run`` have these options, unless they do already."""
        env, number = self

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
