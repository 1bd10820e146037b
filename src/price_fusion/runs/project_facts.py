"""The project of a run, and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from price_fusion.parameters import ESTIMATOR_KINDS, ProjectParameters

MODELS, REPORTING, SPILL = "06_models", "08_reporting", ".spill"
"""Folders of the data."""


@dataclass(frozen=True)
class ProjectFacts:
    """A project and its configuration.

    Attributes:
        folder: of the project.
        data: its data folder.
        raw: parameters as ``conf/`` and ``--params`` have them.
        parameters: the same, checked.
    """

    folder: Path
    data: Path
    raw: Mapping[str, Any]
    parameters: ProjectParameters

    @property
    def folders(self) -> dict[str, Path]:
        """Folders that nodes know, by the parameter that tells them.

        A node's outputs are saved when it ends; hours of training must be on disk before that. And a page mentions results
        of other pipelines if they are there.
        """
        models = {name: self.data / MODELS / name for name in (*self.parameters.variants, *ESTIMATOR_KINDS)}
        return {f"params:{name}.folder": path for name, path in models.items()} | {
            "params:reporting_folder": self.data / REPORTING,
            "params:spill_folder": self.data / SPILL,
        }


current_project: ContextVar[ProjectFacts | None] = ContextVar("current_project", default=None)
"""Of the context that this thread loaded last: a session loads it and begins its run in one thread."""
