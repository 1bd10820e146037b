"""``kedro run``, with messages of ours where the values of its options cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import split_node_names, split_string
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from price_fusion.configuration.conf_files import mapping_of, problem_with
from price_fusion.errors import UsageError

_SECTION = "run"
"""Key of a file for ``--config`` that holds the options."""
_MAPPINGS = ("params", "runner_params")
"""Options of names and values."""


def run_command() -> click.Command:
    """Kedro's command, which looks at its options after we have."""
    command = copy(kedro_run)
    checks = {**dict.fromkeys(_MAPPINGS, _check_params), "config": _check_config}
    command.params = [
        _after(checks[option.name], option) if option.name in checks else _with_all_names(option)
        for option in kedro_run.params
    ]
    return command


def check_params(text: str, option: str = "--params") -> None:
    """Refuse what Kedro would take apart at the wrong comma, or YAML cannot read.

    Args:
        text: as given, ``a.b=1,c=2``.
        option: its name, for messages.

    Raises:
        UsageError: naming the part, and where to write it instead.
    """
    for item in _items(text):
        key, _, value = item.partition("=")
        if "," in item:
            nested = _nested(key.strip(), value.strip())
            raise UsageError(
                f"{option}: {item!r} has a comma within brackets, and commas separate parameters here. Write lists and mappings "
                f"of several items into conf/local/parameters.yml, as {nested}, or into a file for --config, as "
                f"{_SECTION}: {{params: {{{nested}}}}}."
            )
        try:
            OmegaConf.from_dotlist([item])
        except (YAMLError, OmegaConfBaseException) as error:
            what = error.problem if isinstance(error, MarkedYAMLError) else str(error).partition("\n")[0]
            raise UsageError(
                f"{option}: {item!r} has a value that YAML cannot read ({what}). Commas separate parameters here; values that "
                "contain commas or YAML's special characters belong in conf/local/parameters.yml, in quotation marks."
            ) from error


def check_config(path: Path) -> None:
    """Refuse a file of options that cannot be read.

    Raises:
        UsageError: naming the file, the line and what is expected.
    """
    if problem := problem_with(path):
        raise UsageError(f"--config: {problem}")
    options = mapping_of(path).get(_SECTION)
    if not isinstance(options, dict):
        raise UsageError(
            f"--config: {path}: has no section {_SECTION!r}, expected options below it, such as "
            f"'{_SECTION}: {{pipelines: moe, params: {{seed: 5}}}}'."
        )
    for name, value in options.items():
        if isinstance(value, list | dict) and not (isinstance(value, dict) and name in _MAPPINGS):
            expected = "a mapping" if name in _MAPPINGS else "text, several names separated by commas"
            raise UsageError(f"--config: {path}: {_SECTION}.{name} is {value!r}, expected {expected}.")


def _after(check: Callable[[click.Context, str, Any], None], option: click.Parameter) -> click.Parameter:
    """The option, checked before its own callback."""
    checked, callback = copy(option), option.callback
    if callback is None:
        raise TypeError(f"Kedro's option {option.name} has no callback")

    def both(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        check(context, option.opts[-1], value)
        return callback(context, parameter, value)

    checked.callback = both
    return checked


def _with_all_names(option: click.Parameter) -> click.Parameter:
    """The option; one of names of nodes keeps them all.

    Kedro drops what follows a bracket that is not closed, and ``--from-nodes "["`` runs everything. Kept, it is a name that
    no node has, and refused.
    """
    if option.callback is not split_node_names:
        return option
    kept = copy(option)
    kept.callback = _split_names
    return kept


def _split_names(context: click.Context, option: click.Parameter, value: str) -> list[str]:
    split = split_node_names if value.count("[") == value.count("]") else split_string
    return split(context, option, value)


def _check_params(_: click.Context, name: str, value: Any) -> None:
    if isinstance(value, str):  # of --config it is a mapping
        check_params(value, name)


def _check_config(context: click.Context, _: str, value: Any) -> None:
    if value:
        check_config(Path(value))
        context.info_name = (
            _SECTION  # Kedro reads the section of the command's name, which is price-fusion in a package
        )


def _items(text: str) -> Iterator[str]:
    """Parts between commas that are outside of brackets."""
    depth, start = 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def _nested(key: str, value: str) -> str:
    """``a.b`` and a value as a line of YAML."""
    first, *rest = key.split(".")
    return f"{first}: " + "".join(f"{{{part}: " for part in rest) + value + "}" * len(rest)
