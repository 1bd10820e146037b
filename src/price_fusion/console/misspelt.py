"""Names in a command that there are not, or not together: what they probably should have been.

Kedro says which name it does not know, in words of its own version, and with a traceback. Here these words are recognised;
where another version of Kedro says it otherwise, its own message is shown.
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from traceback import walk_tb

from kedro.config import MissingConfigException
from kedro.framework.project import pipelines
from kedro.io import DatasetNotFoundError
from kedro.pipeline.node import Node
from kedro.pipeline.pipeline import OutputNotUniqueError

from price_fusion.errors import UsageError

_PIPELINE = re.compile(r"Failed to find the pipeline named '(?P<names>[^']*)'")
_NAME = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
"""Text as Python shows it in a list."""
_LIST = rf"(?P<names>\[(?:{_NAME}(?:, )?)+\])"
_NODES = re.compile(rf"Pipeline does not contain nodes named {_LIST}")
_NAMESPACES = re.compile(rf"nodes with the following namespaces: {_LIST}")
_DATASETS = re.compile(rf"Pipeline does not contain datasets named {_LIST}")
_VERSIONS = re.compile(r"'load_versions' keys \[(?P<names>[^\]]*)\]")
_NOT_FOUND = re.compile(r"^Dataset '(?P<name>[^']+)' not found in the catalog")
_OUTPUTS = re.compile(rf"^Output\(s\) {_LIST} are returned by more than one nodes")
_INPUTS = re.compile(r"^Pipeline input\(s\) \{(?P<names>.*)\} not found in the ")
_RUNNER_PARAMS = re.compile(r"^(?P<runner>\w*Runner)\.__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'")
_NOTHING_LEFT = "Pipeline contains no nodes after applying all provided filters"
_ENVIRONMENT = re.compile(r"not a valid directory: (?P<path>.+)")
_ENSEMBLE = ("ensemble", "report_ensemble", "leak_effect_ensemble")
"""Pipelines that depend on which variants there are."""
RUNNERS = ("ParallelRunner", "SequentialRunner", "ThreadRunner")
SHOWN = 12
"""Names that a message lists where none is near."""


def explained(error: BaseException) -> UsageError | None:
    """What a misspelt name should have been; None for an error of another kind."""
    if isinstance(error, MissingConfigException):
        return _environment(str(error))
    if isinstance(error, AttributeError | ImportError):
        return _runner(str(error))
    if isinstance(error, TypeError) and (match := _RUNNER_PARAMS.search(str(error))):
        return UsageError(f"--runner-params: {match['runner']} takes no {match['name']!r}. Leave it out.")
    if isinstance(error, DatasetNotFoundError) and (match := _NOT_FOUND.search(str(error))):
        return UsageError(_input(match["name"]))
    if isinstance(error, DatasetNotFoundError) and (match := _VERSIONS.search(str(error))):
        names = match["names"].split(", ")
        return UsageError(unknown("dataset", names, _datasets(), "kedro catalog describe-datasets"))
    if isinstance(error, OutputNotUniqueError) and (match := _OUTPUTS.search(str(error))):
        return _joined(ast.literal_eval(match["names"]), _asked(error))
    return _of_pipelines(str(error)) if isinstance(error, ValueError) else None


def _of_pipelines(message: str) -> UsageError | None:
    if match := _PIPELINE.search(message):
        return _pipeline(match["names"])
    if match := _INPUTS.search(message):
        return UsageError("\n".join(_input(name) for name in sorted(re.findall(r"'([^']*)'", match["names"]))))
    for pattern, kind, listing, known in _KINDS:
        if match := pattern.search(message):
            return UsageError(unknown(kind, ast.literal_eval(match["names"]), known(), listing))
    return _tags() if message.startswith(_NOTHING_LEFT) else None


def _pipeline(name: str) -> UsageError:
    if name in _ENSEMBLE:
        return UsageError(
            f"there is no pipeline {name!r} here: 'variants' lacks some of the variants among the members of the preset in "
            "ensemble.preset. Add them to 'variants', or choose a preset of those that are there."
        )
    return UsageError(unknown("pipeline", [name], [str(one) for one in pipelines], "kedro registry list"))


def _asked(error: BaseException) -> list[str]:
    """The pipelines of the run, of a command or of ``KedroSession.run``: Kedro's error is raised before a hook is told of them."""
    given = (frame.f_locals.get("pipeline_names") for frame, _ in walk_tb(error.__traceback__))
    return next((list(names) for names in given if names), [])


def _joined(outputs: list[str], asked: Iterable[str]) -> UsageError | None:
    """Which of the pipelines that are to run together make the same outputs; None where that is not what was asked."""
    known = dict.fromkeys(name for name in asked if name in pipelines)
    makers = [name for name in known if pipelines[name].all_outputs().intersection(outputs)]
    if len(makers) < 2:
        return None
    commands = ", then ".join(f"kedro run --pipelines {name}" for name in makers)
    return UsageError(
        f"the pipelines {' and '.join(makers)} each make {', '.join(outputs)}, of products and settings of their own, and one run "
        f"makes an output once. Run them one after the other: {commands}"
    )


def _input(name: str) -> str:
    """What to do about a dataset that nodes read, and nothing makes or declares."""
    if name.startswith("params:"):
        return (
            f"a node reads {name!r}, and conf/ has no such parameter. Declare it in a parameters.yml; of a pipeline of your "
            "own in a section of its name, read as params:NAME.FIELD (docs/extending.md)."
        )
    near = difflib.get_close_matches(name, _datasets() - {name}, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"a node reads {name!r}, which no node of these pipelines gives and the catalog does not have.{hint} Declare it in a "
        "catalog.yml, or run the pipeline that makes it together with this one."
    )


def _environment(message: str) -> UsageError | None:
    match = _ENVIRONMENT.search(message)
    if match is None:
        return None
    folder = Path(match["path"])
    known = [path.name for path in folder.parent.glob("*") if path.is_dir() and path.name != "base"]
    return UsageError(unknown("environment", [folder.name], known, f"ls {folder.parent.name}"))


def _runner(message: str) -> UsageError | None:
    for name in [*_option("--runner"), *_option("-r")]:
        module, _, own = name.rpartition(".")
        if f"has no attribute '{own}'" in message or f"No module named '{module}'" in message:
            return UsageError(unknown("runner", [name], RUNNERS, "kedro run --help"))
    return None


def _tags() -> UsageError:
    known = {tag for node in _all_nodes() for tag in node.tags}
    asked = _option("--tags") or _option("-t")
    wrong = [tag for tag in asked if tag not in known]
    if wrong:
        return UsageError(unknown("tag", wrong, known, "kedro registry describe <pipeline>"))
    return UsageError(
        "no node of these pipelines is left after --from-nodes, --to-nodes, --nodes and --tags. See which there are: "
        "kedro registry describe <pipeline>"
    )


def unknown(kind: str, names: Iterable[str], known: Iterable[str], listing: str) -> str:
    """A sentence per name that there is not, with the nearest, or with what there is.

    Args:
        kind: of what the names are.
        names: that there are none of.
        known: names that there are.
        listing: command that lists them.
    """
    known = sorted(known)
    parts = []
    for name in names:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(one) for one in near)}?" if near else f"there are {_listed(known)}."
        parts.append(f"there is no {kind} {name!r}; {hint}")
    return f"{' '.join(parts)} See all: {listing}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")


def _all_nodes() -> Iterator[Node]:
    for pipeline in pipelines.values():
        yield from pipeline.nodes


def _node_names() -> set[str]:
    return {node.name for node in _all_nodes()}


def _namespaces() -> set[str]:
    return {node.namespace for node in _all_nodes() if node.namespace}


def _datasets() -> set[str]:
    return {name for pipeline in pipelines.values() for name in pipeline.datasets()}


def _option(name: str) -> list[str]:
    """Values of an option of the command line."""
    words = sys.argv
    values = [words[place + 1] for place, word in enumerate(words[:-1]) if word == name]
    values += [word.removeprefix(f"{name}=") for word in words if word.startswith(f"{name}=")]
    return [value for one in values for value in one.split(",")]


_KINDS: tuple[tuple[re.Pattern[str], str, str, Callable[[], set[str]]], ...] = (
    (_NODES, "node", "kedro registry describe <pipeline>", _node_names),
    (_NAMESPACES, "namespace", "kedro registry describe <pipeline>", _namespaces),
    (_DATASETS, "dataset", "kedro catalog describe-datasets", _datasets),
)
