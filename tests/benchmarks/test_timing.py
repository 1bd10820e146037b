"""Figures that cannot be true end in an error: work that was not done, and work done faster than the machine can."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import training_speed
from common import Section, command_line
from price_fusion.training.loop import TrainingLoop
from timing import ImpossibleFigureError, Timings, timed


def test_a_rate_is_the_amount_by_the_median_seconds() -> None:
    timings = Timings("reading", 600)
    for seconds in (1.0, 2.0, 6.0):
        timings.note(600, seconds)
    assert timings.rate(ceiling=1_000) == 300
    assert timings.median(floor=0.5) == 2
    assert timings.spread == 2.5


def test_work_is_done_once_more_than_it_is_timed() -> None:
    calls: list[int] = []
    timings = timed("counting", 7, lambda: calls.append(1) or 7, repeats=3)
    assert len(calls) == 4
    assert len(timings.seconds) == 3
    assert all(seconds > 0 for seconds in timings.seconds)


@pytest.mark.parametrize("done", [0, 599, 601])
def test_other_rows_than_were_said_are_refused(done: int) -> None:
    with pytest.raises(ImpossibleFigureError, match=f"scoring: {done} of 600 rows"):
        timed("scoring", 600, lambda: done, repeats=1)


def test_a_repeat_that_is_faster_than_the_machine_is_refused() -> None:
    timings = Timings("scoring", 600)
    timings.note(600, 1.0)
    timings.note(600, 0.1)
    with pytest.raises(ImpossibleFigureError, match=r"600 rows in 0\.1 s, and this machine needs 0\.5 s"):
        timings.rate(ceiling=1_200)
    with pytest.raises(ImpossibleFigureError, match="500 % of what is possible"):
        timings.median(floor=0.5)
    assert timings.rate(ceiling=6_001) == pytest.approx(600 / 0.55)


def test_nothing_timed_has_no_rate() -> None:
    with pytest.raises(ImpossibleFigureError, match="nothing was timed"):
        Timings("scoring", 600).rate(ceiling=1e9)


def test_a_section_holds_finite_figures_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["some.py", "--smoke", "--output", str(tmp_path)])
    options = training_speed.parse()
    section = Section("some", "Some", "none", values={"rate": math.inf})
    with pytest.raises(ValueError, match="JSON compliant"):
        section.write(options)
    assert not list(tmp_path.iterdir())


def test_epochs_that_train_nothing_fail_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What once was written: each epoch but the first found itself done, as one that goes on after an interruption."""
    take_steps = TrainingLoop.epoch

    def nothing_after_the_first(loop: TrainingLoop, epoch: int, after_step: Callable[[int], None]) -> float:
        if epoch > 1:
            loop.progress.products = loop.feed.products
        return take_steps(loop, epoch, after_step)

    small = ["--variants", "two_branch", "--rows", "400", "--growth", "--lightgbm-trees", "0", "--peak-seconds", "0.02"]
    monkeypatch.setattr(sys, "argv", ["training_speed.py", "--smoke", *small, "--output", str(tmp_path)])
    monkeypatch.setattr(TrainingLoop, "epoch", nothing_after_the_first)
    with pytest.raises(ImpossibleFigureError, match="an epoch of two_branch: 0 of 396 rows"):
        training_speed.main()
    assert not list(tmp_path.iterdir())


def test_the_command_shown_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--data", "/some/data", "--seeds", "2", "--scratch=/some/scratch", "--output", "/some/results"]
    monkeypatch.setattr(sys, "argv", ["benchmarks/some.py", *options])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert command_line() == "python benchmarks/some.py --seeds 2"
