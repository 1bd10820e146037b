"""Measurements in turn, as long as there is time: for machines that are lent for minutes.

The JSON is written before the first measurement and after each, and says what is not in it. Whoever kills the benchmark
loses the measurement that was under way, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from common import Section, console

NOT_REACHED = "not reached before the time was up"


class TimeUpError(RuntimeError):
    """A command was stopped as its time was up."""


class Budget:
    """The seconds of a section.

    Args:
        section: that is filled and written.
        options: ``seconds``, and where the section goes.
    """

    def __init__(self, section: Section, options: argparse.Namespace) -> None:
        self.section = section
        self.options = options
        self._end = perf_counter() + options.seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - perf_counter()

    def spend(self, measurements: Mapping[str, Callable[[], None]]) -> None:
        """Take the measurements in turn; each adds what it found to the section.

        Raises:
            SystemExit: at the end, if one failed or found what cannot be; the others are written then.
        """
        section = self.section
        section.left_out |= dict.fromkeys(measurements, NOT_REACHED)
        section.write(self.options)
        failed = False
        for name, measure in measurements.items():
            if self.left <= 0:
                break
            console.print(f"{name} ({self.left:.0f} s left)", style="dim", highlight=False)
            try:
                measure()
            except TimeUpError as error:
                section.left_out[name] = str(error)
            except Exception as error:  # a machine on loan: one failure must not take the other figures along
                console.print_exception()
                failed = True
                section.left_out[name] = f"{type(error).__name__}: {_first_line(error)}"
            else:
                del section.left_out[name]
            section.write(self.options)
        section.finish(self.options)
        if failed:
            raise SystemExit(f"{section.title}: a measurement failed; see what was left out")


def run_limited(command: Sequence[str], seconds: float, log: Path, **options: object) -> tuple[int, float]:
    """Run a command in a process group of its own; its exit status and the seconds that it took.

    Args:
        command: with its arguments.
        seconds: after which all its processes are killed.
        log: file that gets what it prints.
        options: of ``subprocess.Popen``.

    Raises:
        TimeUpError: if it was killed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **options)  # type: ignore[call-overload]
        try:
            status = process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            raise TimeUpError(f"stopped after {seconds:.0f} s, as time was up; see {log.name}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return status, perf_counter() - began


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no message"
