"""Every run leaves a record, ``data/08_reporting/runs/<id>/run.json``: what was asked for, with what, and what came of it."""

from __future__ import annotations

import atexit
import json
import logging
import os
import platform
import secrets
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from price_fusion import __version__
from price_fusion.console.errors import own_error
from price_fusion.errors import StorageError
from price_fusion.fusion.code_digest import code_digest
from price_fusion.fusion.digests import digest_of
from price_fusion.fusion.files import write_whole
from price_fusion.hooks.current_project import CurrentProject
from price_fusion.hooks.node_times import NodeTimes
from price_fusion.runs import RECORD, runs_folder

logger = logging.getLogger(__name__)

PACKAGES = ("kedro", "numpy", "pandas", "pyarrow", "pydantic", "safetensors", "scikit-learn", "torch")
GIT_SECONDS = 5
"""After which git counts as absent."""
MANIFESTS = ("manifest.json", "_manifest.json")
"""What names all files of a folder: of embedding tables and ensembles, of tables in buckets."""
ERROR_LENGTH = 500
"""Characters of an error's message at most."""


class RunRecordHooks:
    """Writes the record at the start of a run and at its end.

    Args:
        project: that runs.
        times: of the nodes.
    """

    def __init__(self, project: CurrentProject, times: NodeTimes) -> None:
        self._project = project
        self._times = times
        self._record: dict[str, Any] | None = None
        self._path = Path()
        self._started = 0.0
        self._listens = False

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Write down what begins."""
        project = self._project.facts
        if project is None:
            return
        names = run_params.get("pipeline_names") or ["__default__"]
        began = datetime.now(UTC)
        short = "-".join(names).replace("_", "")[:40]
        identity = f"{began.strftime('%Y%m%dT%H%M%S')}-{short}-{secrets.token_hex(2)}"
        self._path = runs_folder(project.data) / identity / RECORD
        self._started = perf_counter()
        self._record = {
            "id": identity,
            "status": "running",
            "started": began.isoformat(timespec="seconds"),
            "process": os.getpid(),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "pipelines": list(names),
            "environment": run_params.get("env"),
            "options": _given(run_params),
            "parameters": project.raw,
            "versions": _versions(),
            "code": code_digest(),
            "git": _git(project.folder),
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
            "metrics": {},
        }
        if not self._listens:
            self._listens = True
            atexit.register(self._at_exit)
        self._write()

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Note metrics."""
        if self._record is None:
            return
        for name, data in outputs.items():
            model, _, kind = name.rpartition(".")
            if kind in ("metrics", "out_of_fold_metrics"):
                self._record["metrics"].setdefault(model, {})[kind] = data
            elif name == "leaderboard_json":
                self._record["leaderboard"] = data

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Write down what came of it."""
        if self._record is not None:
            self._record["digests"] = _digests(pipeline, catalog)
        self._end("finished")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Write down why it failed."""
        own = own_error(error) or error
        self._end("failed", {"class": type(own).__name__, "message": str(own)[:ERROR_LENGTH]})

    def _at_exit(self) -> None:
        """A run that neither ended nor failed was stopped by a signal or by its user."""
        self._end("interrupted")

    def _end(self, status: str, error: Mapping[str, str] | None = None) -> None:
        if self._record is None:
            return
        self._record |= {
            "status": status,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(perf_counter() - self._started, 2),
            "nodes": {node.name: round(node.seconds, 3) for node in self._times.nodes},
            "gpu": _gpu(),
            **({"error": error} if error else {}),
        }
        self._write()
        self._record = None

    def _write(self) -> None:
        """A record that cannot be written is no reason for a run to fail."""
        text = json.dumps(self._record, indent=1, default=str)
        try:
            write_whole(self._path, f"{text}\n".encode())
        except StorageError as error:
            logger.warning("no record of this run: %s", error)


def _given(run_params: Mapping[str, Any]) -> dict[str, Any]:
    """What was given beside the pipelines."""
    names = ("runtime_params", "tags", "from_nodes", "to_nodes", "node_names", "namespaces", "only_missing_outputs")
    found = {name: run_params.get(name) for name in names}
    return {name: list(value) if isinstance(value, tuple | set) else value for name, value in found.items() if value}


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"price-fusion": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _git(project: Path) -> dict[str, Any] | None:
    """Commit, and whether files differ from it; None without git."""
    try:
        commit, changes = (
            subprocess.run(  # noqa: S603 - our own words
                ["git", *words],  # noqa: S607 - the user's git
                cwd=project,
                capture_output=True,
                text=True,
                timeout=GIT_SECONDS,
                check=True,
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changes)}


def _gpu() -> str | None:
    """Name of the GPU, if torch was needed at all."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def _digests(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> dict[str, str]:
    """sha256 of what the run saved or read between stages: of a folder, that of its manifest, which names all its files."""
    found = {}
    for name in sorted(pipeline.datasets()):
        path = Path(str(getattr(catalog.get(name), "_filepath", "")))
        manifest = next((path / name for name in MANIFESTS if (path / name).is_file()), path)
        if manifest.is_file() and "01_raw" not in manifest.parts:
            found[name] = digest_of(manifest)
    return found
