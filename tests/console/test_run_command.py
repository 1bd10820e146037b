"""Options of ``kedro run`` whose values cannot be read."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError, split_node_names

from price_fusion.console.errors import show_own_errors_plainly
from price_fusion.console.run_command import check_config, check_params, run_command
from price_fusion.errors import UsageError


@pytest.mark.parametrize(
    ("text", "part", "nested"),
    [
        ("seed=3,variants=[a,b]", "variants=[a,b]", "variants: [a,b]"),
        ("x.y.z=[1, 2],seed=3", "x.y.z=[1, 2]", "x: {y: {z: [1, 2]}}"),
        ("a={b: 1, c: [2, 3]}", "a={b: 1, c: [2, 3]}", "a: {b: 1, c: [2, 3]}"),
        ("a=[[1,2],[3]]", "a=[[1,2],[3]]", "a: [[1,2],[3]]"),
    ],
)
def test_lists_belong_into_files(text: str, part: str, nested: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_params(text)
    assert f"--params: {part!r} has a comma within brackets" in str(raised.value)
    assert f"conf/local/parameters.yml, as {nested}, or" in str(raised.value)
    assert f"--config, as run: {{params: {{{nested}}}}}" in str(raised.value)


@pytest.mark.parametrize("value", ["[1", "{b", "'b, c'", "@home", "*.csv", "100%: x: y", "${"])
def test_values_that_yaml_cannot_read(value: str) -> None:
    with pytest.raises(UsageError, match="has a value that YAML cannot read"):
        check_params(f"seed=3,a.b={value}")


@pytest.mark.parametrize("text", ["", "seed=3", "a.b=[1],c={d: 1}, e = null", "a=", "no_value", "a=x=y"])
def test_other_values_are_left_to_kedro(text: str) -> None:
    check_params(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("params: {seed: 3}\n", "has no section 'run', expected options below it"),
        ("run: moe\n", "has no section 'run'"),
        ("run:\n  params: {a: [1\n", "line 2: a bracket is opened here and not closed"),
        ("run:\n  tags: [a, b]\n", r"run.tags is \['a', 'b'\], expected text"),
        ("run:\n  params: [a]\n", r"run.params is \['a'\], expected a mapping"),
    ],
)
def test_a_file_of_options_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "options.yml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"--config: .*options.yml.*{said}"):
        check_config(path)


def test_the_command_checks_before_kedro_does(tmp_path: Path) -> None:
    command = run_command()
    given = {}
    command.callback = lambda **options: given.update(options)
    path = tmp_path / "options.yml"
    path.write_text("run:\n  pipelines: split\n  params: {a: {b: [1, 2]}}\n")
    result = CliRunner().invoke(command, ["--config", str(path)], prog_name="price-fusion", catch_exceptions=False)
    assert (result.exit_code, given["pipelines"], given["params"]) == (0, ["split"], {"a": {"b": [1, 2]}})
    with pytest.raises(UsageError, match="comma within brackets"):
        CliRunner().invoke(command, ["--params", "a=[1,2]"], catch_exceptions=False)
    with pytest.raises(UsageError, match="--runner-params"):
        CliRunner().invoke(command, ["--runner-params", "a=[1,2]"], catch_exceptions=False)


def test_errors_of_kedros_commands_keep_their_words() -> None:
    show_own_errors_plainly()

    @click.command()
    def fails() -> None:
        raise KedroCliError("there is no such thing")

    result = CliRunner().invoke(fails)
    assert "Error: there is no such thing" in result.output


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("[", ["["]),
        ("moe.train,[", ["moe.train", "["]),
        ("[a, moe.train", ["[a", "moe.train"]),
        ("a], b", ["a]", "b"]),
        ("f([a,b]) -> [c], moe.train", ["f([a,b]) -> [c]", "moe.train"]),
        ("moe.train", ["moe.train"]),
        ("", []),
    ],
)
@pytest.mark.parametrize("option", ["--from-nodes", "--to-nodes", "--nodes", "--namespaces"])
def test_names_after_a_bracket_left_open_are_not_dropped(option: str, given: str, names: list[str]) -> None:
    command = run_command()
    found = next(one for one in command.params if option in one.opts)
    context = command.make_context("run", [f"{option}={given}"])
    assert context.params[str(found.name)] == names


def test_the_command_of_kedro_stays_as_it_is() -> None:
    run_command()
    assert {option.callback for option in kedro_run.params if option.name == "from_nodes"} == {split_node_names}
