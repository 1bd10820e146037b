"""Exported models, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from price_fusion.datasets.saved_output import SavedOutput

if TYPE_CHECKING:
    from price_fusion.prediction.export.export import Exported


class ExportDataset(SavedOutput["Exported", dict[str, Any]]):
    """A folder with ``model.onnx``, ``model.pt2`` and ``export.json``, which says what they are; loading gives the latter.

    Args:
        filepath: the folder.
        metadata: for plugins.
    """

    manifest = "export.json"

    def _read(self, path: Path) -> dict[str, Any]:
        from price_fusion.prediction.export.export import KIND

        return KIND.read(path, dict)

    def _write(self, path: Path, data: Exported) -> None:
        from price_fusion.prediction.export.export import save_export

        save_export(path, data)
