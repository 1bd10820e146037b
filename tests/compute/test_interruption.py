"""Who listens is asked to stop; messages repeat the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from price_fusion.compute.interruption import Interruption, ask, command_with, listening, remember_command


@pytest.fixture(autouse=True)
def _no_command_left() -> Iterator[None]:
    yield
    remember_command([])


def test_nobody_listens() -> None:
    assert not ask(signal.SIGINT)


def test_a_listener_is_asked_once() -> None:
    with listening() as listener:
        assert listener.asked is None
        assert ask(signal.SIGTERM)
        assert listener.asked is signal.SIGTERM
        assert not ask(signal.SIGINT)  # the second time the process shall end at once
    assert not ask(signal.SIGINT)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_exit_statuses_are_those_of_shells(number: signal.Signals, status: int) -> None:
    assert Interruption(number).code == status
    assert isinstance(Interruption(number), SystemExit)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "kedro run --params moe.train.resume=true"),
        (["kedro", "run", "--pipelines", "moe"], "kedro run --pipelines moe --params moe.train.resume=true"),
        (["kedro", "run", "--params", "seed=1", "--async"], "kedro run --params seed=1,moe.train.resume=true --async"),
        (["kedro", "run", "--params=seed=1"], "kedro run --params=seed=1,moe.train.resume=true"),
        (
            ["kedro", "run", "--params", "moe.train.resume=false,seed=1"],
            "kedro run --params seed=1,moe.train.resume=true",
        ),
        (["kedro", "run", "--params=moe.train.resume=true"], "kedro run --params=moe.train.resume=true"),
        (["kedro", "run", "--params", "a=[1, 2]"], "kedro run --params 'a=[1, 2],moe.train.resume=true'"),
    ],
)
def test_the_command_gains_a_parameter(words: list[str], expected: str) -> None:
    remember_command(words)
    assert command_with("moe.train.resume=true") == expected


def test_the_command_as_it_was() -> None:
    remember_command(["kedro", "run", "--pipelines", "a b"])
    assert command_with(None) == "kedro run --pipelines 'a b'"
