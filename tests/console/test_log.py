"""What the console shows of the log."""

from __future__ import annotations

import io
import logging

import pytest
import rich
from kedro.logging import RichHandler
from rich.console import Console

from price_fusion.command_options import CommandOptions
from price_fusion.console.commands import options, with_environment
from price_fusion.console.log import ConsoleHandler, KedroChatter, take_over_console


def record(name: str, level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, None, None)


@pytest.mark.parametrize(
    ("name", "level", "message", "shown"),
    [
        ("price_fusion.data.roles", logging.INFO, "anything", True),
        ("kedro.pipeline.node", logging.INFO, "Running node: train", False),
        ("kedro.pipeline.node", logging.ERROR, "Node train failed with error: \nx", False),
        ("kedro.runner.runner", logging.INFO, "Completed 1 out of 2 tasks", False),
        ("kedro.runner.runner", logging.INFO, "Skipping 5 nodes with existing outputs: a", True),
        ("kedro.runner.runner", logging.WARNING, "No nodes ran. Repeat", False),
        (
            "kedro_viz.models",
            logging.WARNING,
            "'a' could not be previewed. Full exception: FileNotFoundError: a",
            False,
        ),
        ("kedro_viz.models", logging.WARNING, "'a' could not be previewed. Full exception: ValueError: a", True),
        ("kedro_viz.api", logging.WARNING, "Run events file .viz/a.json not found. It may be due to", False),
        ("kedro.io.core", logging.WARNING, "'validator' attribute removed from dataset configuration since", False),
        ("kedro.framework.session.session", logging.WARNING, "`pipeline_name` is deprecated", True),
    ],
)
def test_chatter_is_left_out(name: str, level: int, message: str, shown: bool) -> None:
    assert KedroChatter().filter(record(name, level, message)) == shown


def test_long_lines_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=40)
    monkeypatch.setattr(rich, "_console", console)
    monkeypatch.setenv("COLUMNS", "40")
    command = "kedro run --pipelines moe --params moe.train.resume=true,moe.train.epochs=30"
    handler = ConsoleHandler()
    handler.handle(record("price_fusion", logging.WARNING, f"go on with {command} [bold]"))
    assert isinstance(console.file, io.StringIO)
    (line,) = console.file.getvalue().splitlines()
    assert line.endswith(f" WARNING go on with {command} [bold]")


def test_commands_repeat_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=40)
    monkeypatch.setattr(rich, "_console", console)
    monkeypatch.setenv("COLUMNS", "40")
    token = options.set(CommandOptions("my shop"))
    try:
        ConsoleHandler().handle(record("price_fusion", logging.WARNING, "train it: kedro run --pipelines train_moe"))
    finally:
        options.reset(token)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("train it: kedro run --env 'my shop' --pipelines train_moe\n")
    assert with_environment("kedro run --pipelines moe --env a", "b") == "kedro run --pipelines moe --env a"
    assert with_environment("kedro run", None) == "kedro run"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Run first: kedro run --pipelines moe.", "Run first: kedro run --env shop --params {} --pipelines moe."),
        ("(kedro run --pipelines a), or (--params b=1)", "(kedro run --env shop --params {} --pipelines a), or (--params b=1)"),
        ("kedro run --pipelines a --params b=1", "kedro run --env shop --pipelines a --params {},b=1"),
        ("kedro run --params b=1 --nodes a", "kedro run --env shop --params {},b=1 --nodes a"),
        ("kedro run --params b=1,compute.partitions=9", "kedro run --env shop --params b=1,compute.partitions=9"),
        ("kedro run --env a", "kedro run --params {} --env a"),
        ("kedro run", "kedro run --env shop --params {}"),
        ("kedro run --help", "kedro run --help"),
    ],
)  # fmt: skip
def test_commands_repeat_the_partitions_of_the_run(text: str, expected: str) -> None:
    token = options.set(CommandOptions(partitions=4))
    try:
        found = with_environment(text, "shop")
        assert found == expected.format("compute.partitions=4")
        assert with_environment(found, "shop") == found
    finally:
        options.reset(token)


def test_only_kedros_own_handler_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.Logger("root")
    other = logging.StreamHandler()
    for handler in (RichHandler(), other):
        root.addHandler(handler)
    monkeypatch.setattr(logging, "getLogger", lambda name=None: logging.Logger(name) if name else root)
    take_over_console()
    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler, ConsoleHandler]
    take_over_console()
    assert len(root.handlers) == 2
