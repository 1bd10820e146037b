"""Errors as messages: a mistake in data or configuration is not a crash, and its traceback says nothing to a user."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from rich.console import Console
from rich.text import Text

from price_fusion.errors import PriceFusionError

TRACEBACK_VARIABLE = "PRICE_FUSION_TRACEBACK"
"""Environment variable; any value brings tracebacks of our own errors back."""


def show_own_errors_plainly() -> None:
    """Let the interpreter end on one of our errors with its message alone. Other errors keep their traceback."""
    previous = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, PriceFusionError) or os.environ.get(TRACEBACK_VARIABLE):
            previous(kind, error, traceback)
            return
        console = Console(stderr=True, soft_wrap=True)
        console.print(Text(f"{type(error).__name__}: {error}", style="bold red"))
        console.print(Text(f"({TRACEBACK_VARIABLE}=1 shows where it was raised.)", style="dim"))

    sys.excepthook = excepthook
