"""Loops that last show how far they are; short ones show nothing."""

from __future__ import annotations

import io
import logging

import pytest
import rich
from rich.console import Console

from price_fusion.compute import progress
from price_fusion.compute.progress import LoopProgress, displays, duration, tracked


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "perf_counter", clock)
    return clock


def test_a_line_every_ten_seconds(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in tracked(range(50), "pricing", "blocks"):
        clock.now += 1
    assert [line.split(", ")[0] for line in caplog.messages] == [
        f"pricing: {done} of 50 blocks" for done in (10, 20, 30, 40)
    ]
    assert caplog.messages[1].endswith(", 30 s left")


def test_a_short_loop_says_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert list(tracked(iter("abc"), "reading", "files", total=3)) == ["a", "b", "c"]
    assert not caplog.messages


def test_a_bar_in_a_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(rich, "_console", console)
    with LoopProgress("pricing", 4, "blocks") as loop:
        for _ in range(4):
            clock.now += 3
            loop.advance()
    assert isinstance(console.file, io.StringIO)
    assert "4 of 4 blocks" in console.file.getvalue()


def test_what_runs_inside_stays_silent(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with LoopProgress("outer", 1, "things"):
        for _ in tracked(range(50), "inner", "blocks"):
            clock.now += 1
    assert not caplog.messages
    assert not displays


def test_an_error_ends_the_display(clock: Clock) -> None:
    with pytest.raises(RuntimeError), LoopProgress("outer", 1, "things"):
        raise RuntimeError
    assert not displays


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
