"""Types of catalog entries: ``type: price_fusion.datasets.<class>``. Each class is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

MODULES = {
    "PartitionsDataset": "partitions",
    "CheckpointDataset": "checkpoint",
    "EmbeddingFilesDataset": "embedding_files",
    "EmbeddingTableDataset": "embedding_table",
    "ExportDataset": "export_folder",
    "FabricatedSampleDataset": "fabricated_sample",
    "FoldModelsDataset": "fold_models",
    "IdListDataset": "id_list",
    "NamedParquetDataset": "named_parquet",
    "ProductTableDataset": "product_table",
    "SafeCSVDataset": "safe_csv",
    "WholeFileDataset": "whole_file",
}
"""Where each type is defined."""


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
