"""Output that nobody can read any more: the reader of a pipe has gone, or the disk of the log is full.

Neither is a reason to end a training of hours, and repeating it with each line helps nobody: it is said once.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from price_fusion.compute.interruption import say


class LastingOutput:
    """A stream that swallows what can no longer be written. Everything else is the stream's own.

    Args:
        stream: to write to.
        name: of it, for the message.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: str) -> int:
        """Write, or give up for good."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or give up for good."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        """Have the descriptor lead nowhere, so that what is in buffers, and what comes, is dropped without an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        say(
            f"{self._name} can no longer be written ({error.strerror or error}): going on without it. What comes of the run "
            "is in its record: kedro price-fusion runs"
        )


def outlast_readers() -> None:
    """Let this process go on when standard output or standard error cannot be written; notebooks have their own."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = LastingOutput(sys.stdout, "standard output")
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = LastingOutput(sys.stderr, "standard error")
