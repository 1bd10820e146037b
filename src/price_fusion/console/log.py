"""The log on the console: what Kedro chatters is left out, and no line is broken in the middle."""

from __future__ import annotations

import logging
import os
from datetime import datetime

import rich
from kedro.framework.project import LOGGING
from kedro.logging import RichHandler
from rich.text import Text

from price_fusion.console.commands import in_environment

PACKAGE = "price_fusion"
PLAIN_WIDTH = 140
"""Columns of tables where there is no terminal."""
_WORTH_SAYING = ("Running ", "Skipping ")
"""How messages of Kedro's runner begin that say more than our own do."""
_ADVICE = (
    "No nodes ran.",
    "There are ",
    "Workflow tracking is disabled",
    "Run events file ",
    "'validator' attribute removed ",
)
"""Likewise, of warnings that our own messages replace, that ask for a complete run with the sequential runner, or that are mistaken: the
validator of a pattern checks what is loaded though ``kedro catalog describe-datasets`` says that it was removed, and
``WholeFileDataset`` refuses one in the wrong place."""
_NOT_MADE_YET = ("FileNotFoundError", "No such file", "is not there")
"""What Kedro-Viz says of datasets that it cannot preview because nothing has made them yet."""
_STYLES = {logging.WARNING: "yellow", logging.ERROR: "bold red", logging.CRITICAL: "bold red"}


class ConsoleHandler(logging.Handler):
    """Prints records above a live display, if there is one; whole lines, so that paths and commands can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(KedroChatter())
        console = rich.get_console()
        if not console.is_terminal and not console.is_jupyter and "COLUMNS" not in os.environ:
            rich.reconfigure(width=PLAIN_WIDTH)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        console = rich.get_console()
        try:
            form = "%H:%M:%S" if console.is_terminal else "%Y-%m-%d %H:%M:%S"
            time = datetime.fromtimestamp(record.created).astimezone().strftime(form)
            level = "" if record.levelno == logging.INFO else f"{record.levelname} "
            line = Text.assemble(
                (time, "dim"), " ", (f"{level}{in_environment(self.format(record))}", _STYLES.get(record.levelno, ""))
            )
            console.print(line, soft_wrap=True)
        except (OSError, ValueError):
            self.handleError(record)


class KedroChatter(logging.Filter):
    """Leaves out what Kedro says of each node and of its own workings; warnings stay, but for advice that ours replaces."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print a record."""
        if not record.name.startswith("kedro"):
            return True
        message = record.getMessage()
        if record.name == "kedro.pipeline.node":
            return record.levelno >= logging.WARNING and "failed with error" not in message
        if record.levelno < logging.WARNING:
            return record.name.startswith("kedro.runner") and message.startswith(_WORTH_SAYING)
        not_made_yet = "could not be previewed" in message and any(words in message for words in _NOT_MADE_YET)
        return not (message.startswith(_ADVICE) or not_made_yet)


def take_over_console() -> None:
    """Put our handler in the place of Kedro's; handlers that a user configured otherwise stay.

    Where conf/logging.yml is elsewhere, Kedro would configure logging once more after the settings are loaded, for this
    package to be among the loggers, and so put its own handler and its own tracebacks above ours.
    """
    LOGGING.data.setdefault("loggers", {}).setdefault(PACKAGE, {"level": "INFO"})
    logging.getLogger(PACKAGE).setLevel(LOGGING.data["loggers"][PACKAGE].get("level", "INFO"))
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) is RichHandler:
            own = ConsoleHandler()
            own.setLevel(handler.level)
            root.removeHandler(handler)
            root.addHandler(own)
