"""Errors as messages: a mistake in data or configuration is not a crash, and its traceback says nothing to a user."""

from __future__ import annotations

import copyreg
import os
import re
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from click import ClickException
from kedro.framework.cli.utils import KedroCliError
from kedro.io import DatasetError
from rich.console import Console
from rich.text import Text

from price_fusion.console.commands import in_environment
from price_fusion.errors import PriceFusionError

TRACEBACK_VARIABLE = "PRICE_FUSION_TRACEBACK"
"""Environment variable; any value brings tracebacks of our own errors back."""
DOCUMENTATION = "docs/errors.md"
"""Where each class of errors has a section."""
NODE_NOTE = "in node "
"""Start of the note that says in which node an error was raised."""
_REFUSED_ENTRY = re.compile(r"\nFailed to instantiate dataset '(?P<entry>[^']+)'")
_OWN = "price_fusion_error"
"""Attribute of an error of another process that was raised from one of ours."""


def show_own_errors_plainly() -> None:
    """Let the interpreter end on one of our errors with its message alone. Other errors keep their traceback."""
    # Kedro's own asks for the error that is being handled, and click 8.5 shows errors when that is over: "NoneType: None".
    KedroCliError.show = ClickException.show  # type: ignore[method-assign]
    copyreg.pickle(DatasetError, _with_own_error)  # for errors of ParallelRunner's processes
    previous = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        own = own_error(error) or _misspelt(error)
        if own is None or os.environ.get(TRACEBACK_VARIABLE):
            previous(kind, error, traceback)
            return
        console = Console(stderr=True, soft_wrap=True)
        console.print(Text(in_environment(_text(error, own)), style="bold red"))
        for note in _notes(error):
            console.print(Text(in_environment(note)))
        where = next((f" Raised {note}." for note in _all_notes(error) if note.startswith(NODE_NOTE)), "")
        more = f"More: {section_of(own)}.{where} ({TRACEBACK_VARIABLE}=1 shows the traceback.)"
        console.print(Text(more, style="dim"))

    sys.excepthook = excepthook


def own_error(error: BaseException | None) -> PriceFusionError | None:
    """The first error of ours in a chain of errors raised from each other."""
    return next((one for one in _chain(error) if isinstance(one, PriceFusionError)), None)


def section_of(error: PriceFusionError) -> str:
    """Where the documentation says more about an error."""
    return f"{DOCUMENTATION}#{type(error).__name__.lower()}"


def _text(error: BaseException, own: PriceFusionError) -> str:
    # Kedro's catalog puts the name of the dataset in front of the message, and cuts those of validators short. Of an entry
    # that cannot be made, it says the name at the end.
    refused = _REFUSED_ENTRY.search(str(error))
    if isinstance(error, DatasetError) and refused is not None:
        return f"{type(own).__name__}: catalog, {refused['entry']}: {own}"
    message = error if isinstance(error, DatasetError) and str(own) in str(error) else own
    return f"{type(own).__name__}: {message}"


def _notes(error: BaseException) -> list[str]:
    return [note for note in _all_notes(error) if not note.startswith(NODE_NOTE)]


def _all_notes(error: BaseException) -> list[str]:
    found = [note for one in _chain(error) for note in getattr(one, "__notes__", ())]
    return list(dict.fromkeys(found))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, _OWN, None) or error.__cause__ or error.__context__


def _with_own_error(error: DatasetError) -> tuple[type[DatasetError], tuple[Any, ...], dict[str, Any]]:
    """How to pickle an error of Kedro's with ours that it was raised from: causes are lost on the way to another process."""
    return type(error), error.args, {**error.__dict__, _OWN: own_error(error)}


def _misspelt(error: BaseException) -> PriceFusionError | None:
    # Not above: it asks Kedro for the project, which is being configured while this module is loaded.
    from price_fusion.configuration import catalog_entries
    from price_fusion.console import misspelt

    return misspelt.explained(error) or catalog_entries.explained(error)
