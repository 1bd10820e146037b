"""Types of catalog entries that an earlier release had, and what takes their place."""

from __future__ import annotations

_WRAPPED = {
    "figure.WholeFigureDataset": "matplotlib.MatplotlibDataset",
    "ordered_csv.OrderedCSVDataset": "price_fusion.datasets.SafeCSVDataset",
    "plotly_figure.WholePlotlyDataset": "plotly.JSONDataset",
    "whole_files.WholeCSVDataset": "price_fusion.datasets.SafeCSVDataset",
    "whole_files.WholeJSONDataset": "json.JSONDataset",
    "whole_files.WholeParquetDataset": "pandas.ParquetDataset",
    "whole_files.WholeTextDataset": "text.TextDataset",
    "whole_files.WholeYAMLDataset": "yaml.YAMLDataset",
}
"""By the end of their path, the types that do the same inside ``WholeFileDataset``."""
_RENAMED = {
    "buckets.BucketsDataset": "PartitionsDataset",
    "BucketsDataset": "PartitionsDataset",
    "buckets.TableBucketsDataset": "PartitionsDataset",
    "TableBucketsDataset": "PartitionsDataset",
    "TablePartitionsDataset": "PartitionsDataset",
}
_NOT_NEEDED = (
    "RawDigestsDataset",
    "RunFolderDataset",
    "FoldFolderDataset",
    "TuningFolderDataset",
    "SpillFolderDataset",
)
_PACKAGE = "price_fusion.datasets."


def successor(path: str) -> str | None:
    """What to write instead of a type that is no more, as the end of a sentence; None for any other type."""
    kind = path.removeprefix(_PACKAGE)
    if kind in _WRAPPED:
        return (
            f"which WholeFileDataset has replaced. Write type: {_PACKAGE}WholeFileDataset and, below it, dataset: {{type: "
            f"{_WRAPPED[kind]}, filepath: ...}} with the other arguments of the entry; validator and metadata stay beside type. "
            "Leave made_from out: it follows from the pipeline."
        )
    if kind in _RENAMED:
        return f"which has become {_PACKAGE}{_RENAMED[kind]}. Write that."
    if kind.rpartition(".")[2] in _NOT_NEEDED:
        return "which is not needed any more. Remove the entry."
    return None
