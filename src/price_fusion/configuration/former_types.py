"""Types of catalog entries that an earlier release had, and what takes their place."""

from __future__ import annotations

_PACKAGE = "price_fusion.datasets."
_WRAPPED = {
    "OrderedCSVDataset": f"{_PACKAGE}SafeCSVDataset",
    "WholeCSVDataset": f"{_PACKAGE}SafeCSVDataset",
    "WholeFigureDataset": "matplotlib.MatplotlibDataset",
    "WholeJSONDataset": "json.JSONDataset",
    "WholeParquetDataset": "pandas.ParquetDataset",
    "WholePlotlyDataset": "plotly.JSONDataset",
    "WholeTextDataset": "text.TextDataset",
    "WholeYAMLDataset": "yaml.YAMLDataset",
}
"""The types that do the same inside ``WholeFileDataset``."""
_RENAMED = {
    "BucketsDataset": "PartitionsDataset",
    "EnsembleDataset": "CheckpointDataset",
    "LeaderboardDataset": "SafeCSVDataset, without models",
    "ParquetEmbeddingsDataset": "EmbeddingFilesDataset, with in_pieces: true",
    "ProductFilesDataset": "ProductTableDataset, with in_pieces: true",
    "TableBucketsDataset": "PartitionsDataset",
    "TablePartitionsDataset": "PartitionsDataset",
}
_NOT_NEEDED = (
    "RawDigestsDataset",
    "RunFolderDataset",
    "FoldFolderDataset",
    "IfThereDataset",
    "TuningFolderDataset",
    "SpillFolderDataset",
)


def successor(path: str) -> str | None:
    """What to write instead of a type that is no more, as the end of a sentence; None for any other type."""
    if not path.startswith(_PACKAGE):
        return None
    kind = path.rpartition(".")[2]
    if kind in _WRAPPED:
        return (
            f"which WholeFileDataset has replaced. Write type: {_PACKAGE}WholeFileDataset and, below it, dataset: {{type: "
            f"{_WRAPPED[kind]}, filepath: ...}} with the other arguments of the entry; validator and metadata stay beside type. "
            "Leave made_from out: it follows from the pipeline."
        )
    if kind in _RENAMED:
        return f"which has become {_PACKAGE}{_RENAMED[kind]}. Write that."
    if kind in _NOT_NEEDED:
        return "which is not needed any more. Remove the entry."
    return None
