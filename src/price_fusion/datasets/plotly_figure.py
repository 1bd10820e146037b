"""Plotly figures as whole files. Apart from ``whole_files.py``: plotly is slow to load."""

from __future__ import annotations

from kedro_datasets.plotly import JSONDataset

from price_fusion.datasets.whole_files import WholeFile


class WholePlotlyDataset(WholeFile, JSONDataset):  # type: ignore[misc]
    """A plotly figure as JSON; arguments as of ``WholeFile`` and ``kedro_datasets.plotly.JSONDataset``."""
