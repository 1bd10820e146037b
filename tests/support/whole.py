"""Whole files, as a catalog entry makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.datasets.whole_file import WholeFileDataset

KINDS = {
    ".csv": "price_fusion.datasets.SafeCSVDataset",
    ".html": "text.TextDataset",
    ".json": "json.JSONDataset",
    ".parquet": "pandas.ParquetDataset",
    ".yml": "yaml.YAMLDataset",
}
"""Type of the wrapped dataset, by the suffix of the file."""


def whole(path: Path | str, **arguments: Any) -> WholeFileDataset:
    """The dataset of a file, with these arguments of the wrapped one."""
    return WholeFileDataset(dataset={"type": KINDS[Path(path).suffix], "filepath": str(path), **arguments})
