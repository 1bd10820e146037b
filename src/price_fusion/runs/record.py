"""Every run leaves a record, ``data/08_reporting/runs/<id>/run.json``: what was asked for, with what, and what came of it."""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from kedro.pipeline import Pipeline

from price_fusion.console.errors import own_error
from price_fusion.datasets.raw_files import RawFiles
from price_fusion.errors import CheckpointError, StorageError
from price_fusion.own_pipelines import own_outputs
from price_fusion.runs.journal import Catalog, Journal, path_of
from price_fusion.runs.past_runs import RECORD, runs_folder
from price_fusion.runs.project_facts import ProjectFacts
from price_fusion.storage.digests import digest_of
from price_fusion.storage.files import write_whole
from price_fusion.training.code_digest import code_digest
from price_fusion.version import __version__

logger = logging.getLogger(__name__)

PACKAGES = ("kedro", "numpy", "pandas", "pyarrow", "pydantic", "safetensors", "scikit-learn", "torch")
GIT_SECONDS = 5
"""After which git counts as absent."""
ERROR_LENGTH = 500
"""Characters of an error's message at most."""
METRICS = (".metrics", ".out_of_fold_metrics")
"""How the names of datasets end that the record repeats under ``metrics``."""
LEADERBOARD = "leaderboard_json"
CHECKPOINT = ".checkpoint"
RESOLVED = {"epochs", "batch_size", "warmup_epochs"}
"""Training parameters that may be ``auto``: the record has the numbers that they became."""


class RunRecord:
    """The record of one run, written at its start and at its end.

    Args:
        project: that runs.
        run_params: as Kedro gives them to hooks.
    """

    def __init__(self, project: ProjectFacts, run_params: Mapping[str, Any]) -> None:
        names = run_params.get("pipeline_names") or ["__default__"]
        short = "-".join(names).replace("_", "")[:40]
        self.id = f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%S')}-{short}-{secrets.token_hex(2)}"
        self.path = runs_folder(project.data) / self.id / RECORD
        self._started = 0.0
        self._contents: dict[str, Any] = {
            "id": self.id,
            "status": "running",
            "run_id": run_params["run_id"],
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

    def begin(self) -> None:
        """Write down what begins."""
        self._started = perf_counter()
        self._contents["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write()

    def end(
        self, status: str, error: BaseException | None, journal: Journal, pipeline: Pipeline, catalog: Catalog
    ) -> None:
        """Write down what came of it.

        Args:
            status: how it ended.
            error: why it failed.
            journal: of its nodes.
            pipeline: that ran.
            catalog: with what its nodes saved.
        """
        self._contents |= {
            "status": status,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(perf_counter() - self._started, 2),
            "nodes": {node.name: round(node.seconds, 3) for node in journal.nodes()},
            "gpu": _gpu(),
        }
        if error is not None:
            own = own_error(error) or error
            self._contents["error"] = {"class": type(own).__name__, "message": str(own)[:ERROR_LENGTH]}
        for name, data in journal.metrics(catalog, METRICS).items():
            model, _, kind = name.rpartition(".")
            self._contents["metrics"].setdefault(model, {})[kind] = data
        for board in journal.outputs(catalog, [LEADERBOARD], without=own_outputs(pipeline)).values():
            self._contents["leaderboard"] = board
        self._contents["training"] = _training(journal, catalog)
        if status == "finished":
            self._contents["digests"] = _digests(pipeline, catalog)
        if self._write():
            journal.path.unlink(missing_ok=True)

    def _write(self) -> bool:
        """Whether the record could be written. One that cannot is no reason for a run to fail."""
        text = json.dumps(self._contents, indent=1, default=str)
        try:
            write_whole(self.path, f"{text}\n".encode())
        except StorageError as error:
            logger.warning("no record of this run: %s", error)
            return False
        return True


def _training(journal: Journal, catalog: Catalog) -> dict[str, Any]:
    """What ``auto`` became in the training of each variant, as its checkpoint says."""
    from price_fusion.models.checkpoint import read_header

    found = {}
    for name in dict.fromkeys(name for node in journal.nodes() for name in node.outputs if name.endswith(CHECKPOINT)):
        path = path_of(catalog, name) or Path()
        with suppress(CheckpointError):  # who reads it next says so
            train = read_header(path).train
            found[name.removesuffix(CHECKPOINT)] = train and train.model_dump(include=RESOLVED)
    return found


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


def _digests(pipeline: Pipeline, catalog: Catalog) -> dict[str, str]:
    """sha256 of what the run saved or read between stages: of a folder, that of its manifest, which names all its files."""
    found = {}
    for name in sorted(pipeline.datasets()):
        dataset = catalog.get(name)
        file = getattr(dataset, "recorded_file", None) or path_of(catalog, name)
        if file is not None and not isinstance(dataset, RawFiles) and file.is_file():
            found[name] = digest_of(file)
    return found
