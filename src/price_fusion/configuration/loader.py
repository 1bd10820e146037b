"""Kedro's configuration loader, with messages on mistakes in ``conf/`` instead of tracebacks."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from price_fusion.configuration.conf_files import mapping_of, problem_with
from price_fusion.errors import ParameterError
from price_fusion.parameters.project import did_you_mean

logger = logging.getLogger(__name__)

CONF_VARIABLE = "PRICE_FUSION_CONF"
"""Environment variable with the configuration folder, for commands that have no ``--conf-source``."""
_SUFFIXES = (".yml", ".yaml", ".json")
_FOLDERS = ("raw", "data")
"""Globals that every run needs."""
_PARTITIONS = "03_primary/partitions"
"""Where tables in partitions are, below ``data``."""
_PATH = "filepath"
"""Of a catalog entry, of a dataset within it, and of the files that it is made from."""
_said: set[Path] = set()


class ProjectConfigLoader(OmegaConfigLoader):
    """Names file, line or entry of what cannot be read; arguments as of ``OmegaConfigLoader``."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Configuration of one kind, merged and resolved.

        Raises:
            ParameterError: if a file of it cannot be read, or says something that cannot be meant.
        """
        try:
            found: dict[str, Any] = super().__getitem__(key)
        except MissingConfigException as error:
            self._explain_missing(error)
            raise
        except (OmegaConfBaseException, YAMLError, ValueError, AttributeError, OSError) as error:
            explained = self._explanation(key, error)
            if explained is None:
                raise
            raise explained from error
        if key == "catalog":
            self._check_entries(found)
            return {name: _with_local_paths(entry) for name, entry in found.items()}
        return self._with_folders(found) if key == "globals" else found

    def _with_folders(self, found: dict[str, Any]) -> dict[str, Any]:
        """Globals with ``~`` and ``file://`` in the names of folders spelt out, and the folder of partitions where none is named.

        It is here, as Kedro resolves a ``${data}`` in conf/base before an environment names its own: all would share one folder.
        """
        self._warn_of_unread_files()
        if "buckets" in found:
            raise ParameterError(
                f"globals.yml: 'buckets' has become 'partitions'. Write partitions: {found['buckets']}; tables that are there "
                "are made again."
            )
        for name in _FOLDERS:
            value = found.get(name)
            if not isinstance(value, str) or not value:
                near = next((one for one in found if one != name and difflib.get_close_matches(one, [name])), None)
                hint = f" Did you mean it by {near!r}?" if near else ""
                raise ParameterError(
                    f"globals.yml: {name!r} is {'missing' if value is None else repr(value)}, expected the name of a folder.{hint}"
                )
        if "://" in (data := found["data"].removeprefix("file://")):
            raise ParameterError(
                f"globals.yml: data is {data!r}, the address of a store, expected a local folder: runs write there. Tables in "
                "partitions may be in a store: name it as 'partitions' (docs/scale.md)."
            )
        if not isinstance(found.get("partitions"), str | None):
            raise ParameterError(
                f"globals.yml: partitions is {found['partitions']!r}, expected a folder or the address of one in a store. How many "
                "there are is compute.partitions, a parameter."
            )
        changed = {name: _local(value) for name, value in found.items() if isinstance(value, str)}
        changed["partitions"] = changed.get("partitions") or f"{changed['data'].rstrip('/')}/{_PARTITIONS}"
        return {**found, **changed}

    def _explanation(self, key: str, error: Exception) -> ParameterError | None:
        """What to say of an error; None: nothing better than Kedro does."""
        own = next(
            (one for one in (error, error.__cause__, error.__context__) if isinstance(one, ParameterError)), None
        )
        if own is not None:
            return own
        problems = [problem for path in self._files(key) if (problem := problem_with(path))]
        if problems:
            return ParameterError("\n".join(problems))
        if str(error).startswith("Duplicate keys found"):
            return ParameterError(
                f"{error}. Within one environment a key is in one file only: take it out of the others."
            )
        if isinstance(error, OmegaConfBaseException):
            return ParameterError(self._interpolation(key, error))
        return ParameterError(f"{self.conf_source}: {error}") if isinstance(error, YAMLError) else None

    def _interpolation(self, key: str, error: OmegaConfBaseException) -> str:
        """Of a ``${...}`` that cannot be resolved."""
        message, _, rest = str(error).partition("\n")
        path = str(getattr(error, "full_key", None) or re.sub(r"full_key: |\n.*", "", rest.strip()))
        entry = f"{self._file_of(key, path) or key}, {path}"
        if match := re.search(r"interpolation type oc\.env", message):
            return f"{entry}: ${{oc.env:NAME}} is for credentials.yml only. Write ${{env:NAME}} here."
        if match := re.search(r"Globals key '(.+?)' not found", message):
            hint = did_you_mean(match[1], self._names_of_globals())
            return f"{entry}: ${{globals:{match[1]}}}: globals.yml has no {match[1]!r}{hint}"
        if match := re.search(r"interpolation type (\S+)", message):
            hint = did_you_mean(match[1], ["globals", "env", "runtime_params"])
            return f"{entry}: ${{{match[1]}:...}}: no resolver of that name{hint}"
        if match := re.search(r"Runtime parameter '(.+?)' not found", message):
            return f"{entry}: no value for ${{runtime_params:{match[1]}}}. Give it: --params {match[1]}=..."
        return f"{entry}: {message}. ${{name}} refers to a key of the same kind of files, ${{globals:name}} to globals.yml."

    def _names_of_globals(self) -> list[str]:
        return [str(name) for name in self._globals if not str(name).startswith("_")]

    def _check_entries(self, entries: Mapping[str, Any]) -> None:
        for name, entry in entries.items():
            if problem := _entry_problem(entry):
                # Only now: finding the file reads all of them, which takes longer than a small run.
                raise ParameterError(f"{self._file_of('catalog', name) or 'catalog'}, {name}: {problem}")

    def _explain_missing(self, error: MissingConfigException) -> None:
        """Say so where there is no configuration at all; another environment is ``console/misspelt.py``'s to explain."""
        source = Path(self.conf_source)
        if self._protocol == "file" and not (source / self.base_env).is_dir():
            raise ParameterError(
                f"{source}: no configuration is here (no folder {self.base_env}). Start in the project's folder, or name "
                f"its conf/, or the archive of it that 'kedro package' makes: --conf-source of a run, or the environment "
                f"variable {CONF_VARIABLE} for every command."
            ) from error

    def _environments(self) -> list[Path]:
        if self._protocol != "file":
            return []  # an archive or a store
        source, run = Path(self.conf_source), self.env or self.default_run_env
        return list(dict.fromkeys([source / run, source / self.base_env]))

    def _files(self, key: str) -> Iterator[Path]:
        """Files of one kind, those of the environment first."""
        for folder in self._environments():
            found = {path for pattern in self.config_patterns.get(key, []) for path in folder.glob(pattern)}
            yield from sorted(path for path in found if path.is_file() and path.suffix in _SUFFIXES)

    def _file_of(self, key: str, path: str) -> Path | None:
        """The file that declares an entry or a field of it."""
        for file in self._files(key):
            if any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in mapping_of(file)):
                return file
        return None

    def _warn_of_unread_files(self) -> None:
        """Of names that are nearly those of files that are read."""
        kinds = {"parameters": "parameters*.yml", "catalog": "catalog*.yml", "globals": "globals.yml"}
        read = {path for key in self.config_patterns for path in self._files(key)}
        for folder in self._environments():
            for path in sorted(folder.rglob("*.y*ml")):
                near = difflib.get_close_matches(path.stem, kinds, n=1)
                if path in read or path in _said or not near:
                    continue
                _said.add(path)
                place = " in the environment's own folder" if near[0] == "globals" else ""
                logger.warning("%s: is not read; the name of such files is %s%s.", path, kinds[near[0]], place)


def _entry_problem(entry: object) -> str | None:
    """What keeps a value from being an entry of the catalog; None: nothing."""
    if not isinstance(entry, Mapping):
        return (
            f"found {entry!r}, expected a mapping with 'type' and the arguments of that class. A value that other "
            "entries refer to needs a name that begins with an underscore."
        )
    if "type" in entry:
        return None
    near = difflib.get_close_matches("type", entry, n=1)
    hint = f"; did you mean it by {near[0]!r}?" if near else ""
    return (
        f"has no 'type', such as pandas.CSVDataset{hint}. An entry of an environment takes the place of the whole entry of "
        "that name in conf/base: repeat every field to keep."
    )


def _with_local_paths(value: Any) -> Any:
    """A catalog entry, or a part of it, with each ``filepath`` spelt out: Kedro takes ``~/shop`` for a folder ``~``."""
    if isinstance(value, Mapping):
        return {
            name: _local(one) if name == _PATH and isinstance(one, str) else _with_local_paths(one)
            for name, one in value.items()
        }
    return [_with_local_paths(one) for one in value] if isinstance(value, list) else value


def _local(value: str) -> str:
    """A path without ``file://`` and with ``~`` spelt out."""
    value = value.removeprefix("file://")
    try:
        return str(Path(value).expanduser()) if value.startswith("~") else value
    except RuntimeError as error:
        raise ParameterError(f"{value!r} in conf/: there is no home folder here. Write the whole path.") from error
