"""Results of other pipelines that a page mentions if they have been made.

Kedro has no optional inputs, so they are read from the folder of reports: in the graph there is nothing that may not be there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.datasets.whole_file import WholeFileDataset

JSON, CSV = "json.JSONDataset", "price_fusion.datasets.SafeCSVDataset"


def leaks_found(folder: Path) -> dict[str, Any]:
    """What ``check_leaks`` found, by the argument that takes it; None where it has not run since its inputs changed."""
    return {
        "overlaps": _if_current(folder / "leaks/leak_report.json", JSON),
        "informed_sources": _if_current(folder / "leaks/informed_sources.json", JSON),
    }


def importances_found(folder: Path, variant: str) -> dict[str, Any]:
    """What ``ablate_<variant>`` found, by its name in figures; None where it has not run since its inputs changed."""
    return {
        "permuted": _if_current(folder / variant / "permutation_importance.csv", CSV),
        "left out": _if_current(folder / variant / "retraining_importance.csv", CSV),
    }


def _if_current(path: Path, kind: str) -> Any:
    dataset = WholeFileDataset(dataset={"type": kind, "filepath": str(path)})
    return dataset.load() if dataset.exists() else None
