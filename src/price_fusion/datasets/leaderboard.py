"""The leaderboard as CSV, which says which of its lines are stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from price_fusion.datasets.safe_csv import SafeCSVDataset
from price_fusion.selection.stale_lines import STALE, marked


class LeaderboardDataset(SafeCSVDataset):
    """A leaderboard; loading compares each line's checkpoint with the one that is there now (column ``stale``).

    Args:
        filepath: the file.
        models: ``{filepath: ...}`` of the folder with ``<variant>/checkpoint.safetensors``.
        arguments: as of ``SafeCSVDataset``.
    """

    DEFAULT_LOAD_ARGS = SafeCSVDataset.DEFAULT_LOAD_ARGS | {"dtype": {"checkpoint": "object", STALE: "object"}}
    """A digest of digits alone stays text, as does a column without remarks."""

    def __init__(self, *, models: dict[str, Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._models = Path(models["filepath"])  # Kedro makes values of the key filepath absolute

    def load(self) -> pd.DataFrame:
        """The table, with the column ``stale`` as it is now."""
        return marked(self.load_saved(), self._models)

    def load_saved(self) -> pd.DataFrame:
        """The table as it was saved."""
        return super().load()
