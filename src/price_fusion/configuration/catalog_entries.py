"""Mistakes in catalog entries: classes and arguments that there are not, and what they probably should have been.

Kedro says so when it makes the dataset, in words of its own version, which are recognised here.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import kedro.io
import kedro_datasets
from kedro.io import DatasetError

import price_fusion
from price_fusion.configuration.former_types import successor
from price_fusion.datasets import MODULES
from price_fusion.errors import MissingPackageError, ParameterError, PriceFusionError
from price_fusion.parameters.project import did_you_mean

_ENTRY = re.compile(r"config for dataset '(?P<entry>[^']+)'")
_OUTER = re.compile(r"Failed to instantiate dataset '(?P<entry>[^']+)'")
"""The entry in which a wrapper has the one that is wrong."""
_CLASS_OF = (
    re.compile(r"Dataset '(?P<name>\w+)' not found in '(?P<module>[\w.]+)'"),
    re.compile(r"missing dependencies for (?P<path>[\w.]+)"),
    re.compile(r"Invalid dataset path: '(?P<path>[^']*)'"),
)
_ARGUMENTS = re.compile(
    r"^(?P<problem>.+)\.\nDataset '(?P<entry>[^']+)' must only .* constructor of '(?P<path>[\w.]+)'"
)
_FAILED = re.compile(
    r"^(?P<problem>.+)\.\nFailed to instantiate dataset '(?P<entry>[^']+)' of type '(?P<path>[\w.]+)'", re.S
)
_CREDENTIALS = re.compile(r"Unable to find credentials '(?P<name>[^']+)'")
_PATTERN = re.compile(
    r"Keys used in the configuration \{(?P<keys>.*)\} should present in the dataset pattern name (?P<entry>.*)\.$"
)


def explained(error: BaseException) -> PriceFusionError | None:
    """What is wrong with a catalog entry; None for an error of another kind."""
    message = str(error).strip()
    if isinstance(error, KeyError) and (match := _CREDENTIALS.search(message)):
        return ParameterError(
            f"an entry of the catalog names the credentials {match['name']!r}, which no credentials.yml has. Write them there "
            "(conf/local is not under version control), or name others."
        )
    if not isinstance(error, DatasetError):
        return None
    outer = _OUTER.findall(message)
    if match := _ARGUMENTS.search(message):
        return ParameterError(_arguments(**match.groupdict() | {"entry": (outer or [match["entry"]])[-1]}))
    entry = _ENTRY.search(message)
    if entry and (found := _class((outer or [entry["entry"]])[-1], message)):
        return found
    if match := _FAILED.search(message):
        return ParameterError(f"catalog, {match['entry']}: {match['path']} refuses its arguments: {match['problem']}.")
    if match := _PATTERN.search(message):
        return ParameterError(
            f"catalog, {match['entry']}: uses {match['keys']}, which its own name does not have. A name in braces stands for a "
            "part of the entry's name; quote a value whose braces mean themselves, and double them."
        )
    return None


def _class(entry: str, message: str) -> PriceFusionError | None:
    path = next((_path(match.groupdict()) for one in _CLASS_OF if (match := one.search(message))), None)
    if path is None:
        return None
    if instead := successor(path):
        return ParameterError(f"catalog, {entry}: type is {path!r}, {instead}")
    known = _known_classes()
    if path in known:  # its module is there, but not what that imports
        extra = path.lower().replace(".", "-")
        return MissingPackageError(
            f"catalog, {entry}: {path} needs a package that is not installed. Install it: "
            f"pip install 'kedro-datasets[{extra}]'"
        )
    return ParameterError(f"catalog, {entry}: type is {path!r}, and there is no such class{_near_class(path, known)}")


def _path(found: Mapping[str, str]) -> str:
    path = found.get("path") or f"{found.get('module')}.{found.get('name')}"
    return path.removeprefix("kedro_datasets.")


def _near_class(path: str, known: list[str]) -> str:
    """The nearest by its whole path, or by its own name where somebody left the module out."""
    by_name = {one.rpartition(".")[2]: one for one in sorted(known, key=lambda one: one.startswith("pandas."))}
    near = get_close_matches(path, known, n=1) if "." in path else []
    near = near or [by_name[name] for name in get_close_matches(path.rpartition(".")[2], by_name, n=1)]
    if near:
        return f"; did you mean {near[0]!r}?"
    return ", such as pandas.CSVDataset or price_fusion.datasets.WholeFileDataset (docs/reference/datasets.md)."


def _known_classes() -> list[str]:
    """Classes as a catalog names them. Their files are searched, not imported: some want packages that are not there."""
    found = []
    for package, prefix in ((kedro_datasets, ""), (kedro.io, "kedro.io"), (price_fusion, "price_fusion")):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*dataset*.py") if package is not price_fusion else root.glob("datasets/*.py")):
            parts = [prefix, *file.relative_to(root).with_suffix("").parts]
            module = ".".join(part for part in (parts if package is price_fusion else parts[:-1]) if part)
            classes = re.findall(r"^class ([A-Za-z]\w*Dataset)\b", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            found += [f"{module}.{name}" for name in classes]
    return [*found, *(f"price_fusion.datasets.{name}" for name in MODULES)]


def _arguments(problem: str, entry: str, path: str) -> str:
    module, _, name = path.rpartition(".")
    known = [
        one for one in inspect.signature(getattr(importlib.import_module(module), name)).parameters if one != "self"
    ]
    if match := re.search(r"unexpected keyword argument '(\w+)'", problem):
        return f"catalog, {entry}: {name} takes no argument {match[1]!r}{did_you_mean(match[1], known)}"
    if match := re.search(r"missing \d+ required .*?arguments?: (.+)", problem):
        return f"catalog, {entry}: {name} needs {match[1]} as well."
    return f"catalog, {entry}: {name} refuses its arguments: {problem}. It takes: {', '.join(known)}."
