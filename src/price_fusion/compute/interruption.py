"""Being asked to stop: a signal says so, and whoever can save its work first listens.

Nothing here installs a handler of signals; ``hooks/active_runs.py`` does for ``kedro run``. Elsewhere, as in notebooks,
nobody asks, and Ctrl-C does what it always does.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


class Interruption(SystemExit):
    """The run ends because a signal asked for it, with the exit status that shells give: 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __reduce__(self) -> tuple[type[Interruption], tuple[int]]:
        """Pickle with the number, not with the exit status, which is what ``SystemExit`` would be made of again."""
        return type(self), (self.number,)


@dataclass
class Listener:
    """Somebody who looks from time to time whether to stop, saves its work, and then stops by itself."""

    asked: signal.Signals | None = None
    """What asked it to stop."""


_listeners: list[Listener] = []
_command: list[str] = []


@contextmanager
def listening() -> Iterator[Listener]:
    """While this is open, ``ask`` tells the listener instead of ending the process at once."""
    listener = Listener()
    _listeners.append(listener)
    try:
        yield listener
    finally:
        _listeners.remove(listener)


def ask(number: int) -> bool:
    """Ask those who listen to stop.

    Returns:
        whether somebody listens who was not asked before, and so will stop by itself.
    """
    waiting = [listener for listener in _listeners if listener.asked is None]
    for listener in waiting:
        listener.asked = signal.Signals(number)
    return bool(waiting)


def remember_command(words: list[str]) -> None:
    """Note the command line of the run, for messages that say how to go on."""
    _command[:] = words


def remembered_command() -> tuple[str, ...]:
    """The words of ``remember_command``, for other processes of the run to remember."""
    return tuple(_command)


def command_with(parameter: str | None) -> str:
    """The command line of the run with one more parameter, such as ``moe.train.resume=true``, or as it was."""
    words = _command or ["kedro", "run"]
    if parameter is None:
        return shlex.join(words)
    for place, word in enumerate(words):
        if word == "--params" and place + 1 < len(words):
            return shlex.join([*words[: place + 1], _with(words[place + 1], parameter), *words[place + 2 :]])
        if word.startswith("--params="):
            given = _with(word.removeprefix("--params="), parameter)
            return shlex.join([*words[:place], f"--params={given}", *words[place + 1 :]])
    return shlex.join([*words, "--params", parameter])


def say(text: str) -> None:
    """Print to the terminal as it is: a log would break commands in the middle of words.

    Without Python's buffers, which a signal may have come in the middle of.
    """
    with suppress(OSError):  # a terminal that has gone
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{text}\n".encode())


def _with(parameters: str, parameter: str) -> str:
    """Comma-separated parameters with one more, which takes the place of its earlier value."""
    name = parameter.partition("=")[0]
    others = re.sub(rf"(^|,){re.escape(name)}=[^,]*", "", parameters).removeprefix(",")
    return f"{others},{parameter}" if others else parameter
