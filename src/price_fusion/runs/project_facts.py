"""The project of a run, and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from price_fusion.parameters import ProjectParameters


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


current_project: ContextVar[ProjectFacts | None] = ContextVar("current_project", default=None)
"""Of the context that this thread loaded last: a session loads it and begins its run in one thread."""
