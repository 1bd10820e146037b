"""Errors as messages: a mistake in data or configuration is not a crash, and its traceback says nothing to a user."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from kedro.io import DatasetError
from rich.console import Console
from rich.text import Text

from price_fusion.errors import PriceFusionError

TRACEBACK_VARIABLE = "PRICE_FUSION_TRACEBACK"
"""Environment variable; any value brings tracebacks of our own errors back."""


def show_own_errors_plainly() -> None:
    """Let the interpreter end on one of our errors with its message alone. Other errors keep their traceback."""
    previous = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        own = own_error(error)
        if own is None or os.environ.get(TRACEBACK_VARIABLE):
            previous(kind, error, traceback)
            return
        # Kedro's catalog puts the name of the dataset in front of the message, and cuts those of validators short.
        message = error if isinstance(error, DatasetError) and str(own) in str(error) else own
        console = Console(stderr=True, soft_wrap=True)
        console.print(Text(f"{type(own).__name__}: {message}", style="bold red"))
        console.print(Text(f"({TRACEBACK_VARIABLE}=1 shows where it was raised.)", style="dim"))

    sys.excepthook = excepthook


def own_error(error: BaseException | None) -> PriceFusionError | None:
    """The first error of ours in a chain of errors raised from each other."""
    while error is not None and not isinstance(error, PriceFusionError):
        error = error.__cause__ or error.__context__
    return error
