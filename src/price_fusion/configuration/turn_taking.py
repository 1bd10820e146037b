"""Configuration that several runs of one process may read."""

from __future__ import annotations

import threading
from copy import deepcopy
from typing import Any

from price_fusion.configuration.loader import ProjectConfigLoader

_lock = threading.RLock()


class TurnTakingConfigLoader(ProjectConfigLoader):
    """Reads for one run at a time: resolvers are the whole process's, and answer for the loader that was made last."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        with _lock:
            self._read: dict[str, dict[str, Any]] = {}
            super().__init__(*arguments, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Configuration of a kind, with the globals and the ``--params`` of this loader.

        Parameters are read once: a run asks for them twice, and reading them takes longer than building its pipelines.
        """
        if key in self._read and key not in self:
            return deepcopy(self._read[key])
        with _lock:
            self._register_globals_resolver()
            found = super().__getitem__(key)
        if key == "parameters":
            self._read[key] = deepcopy(found)
        return found
