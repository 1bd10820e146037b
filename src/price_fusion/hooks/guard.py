"""What surrounds each run: one at a time in a data folder, nothing left of dead ones, and a good end on signals."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from kedro.framework.hooks import hook_impl

from price_fusion.fusion.files import remove_leftovers
from price_fusion.fusion.interruption import Interruption, ask, command_with, remember_command, say
from price_fusion.fusion.lock import only_writer
from price_fusion.hooks.current_project import CurrentProject

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunGuardHooks:
    """Holds the data folder while a run lasts, cleans it before, and listens to signals.

    Args:
        project: whose data folder it is.
    """

    def __init__(self, project: CurrentProject) -> None:
        self._project = project
        self._held = ExitStack()

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Be the only run in the data folder.

        Raises:
            BusyError: if another one is.
        """
        self._held.close()  # of a run that a notebook interrupted
        if self._project.facts is None:
            return
        data = self._project.facts.data
        with ExitStack() as held:
            held.enter_context(stopping_well())
            held.enter_context(only_writer(data))
            leftovers = remove_leftovers(data)
            if leftovers:
                logger.info("removed what a run that died was writing: %s", ", ".join(map(str, leftovers)))
            self._held = held.pop_all()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let the next run in."""
        self._held.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let the next run in."""
        self._held.close()


@contextmanager
def stopping_well() -> Iterator[None]:
    """While this is open, SIGINT and SIGTERM end the process with status 130 and 143, after training has saved its state.

    Signals stay what they are in notebooks, whose kernel has its own idea of them, and outside the main thread.
    """
    if "ipykernel" in sys.modules or threading.current_thread() is not threading.main_thread():
        yield
        return
    program = Path(sys.argv[0]).name
    remember_command([program if program == "price-fusion" else "kedro", *sys.argv[1:]])
    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> Any:
    name = signal.Signals(number).name
    if ask(number):
        say(f"{name}: stopping after this training step, with the state saved. Once more stops at once.")
        return
    say(f"{name}: stopped; no file is half-written. Go on with:\n{command_with(None)}")
    raise Interruption(number)
