"""What hooks know of the project that runs: read once, as its configuration takes a while to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext

from price_fusion.parameters import ProjectParameters, parse_project_parameters


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


class CurrentProject:
    """The facts of the project of the run at hand."""

    def __init__(self) -> None:
        self.facts: ProjectFacts | None = None
        """None before a project is loaded, and for a runner without one."""

    def read(self, context: KedroContext) -> ProjectFacts:
        """Read and check the configuration.

        Raises:
            ParameterError: if any parameter is wrong.
        """
        raw = context.config_loader["parameters"]
        folder = Path(context.project_path)
        data = folder / context.config_loader["globals"]["data"]
        self.facts = ProjectFacts(folder, data, raw, parse_project_parameters(raw))
        return self.facts
