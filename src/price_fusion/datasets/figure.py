"""Figures that count as missing once they are older than what they show. Apart from ``derived.py``: matplotlib is slow to load."""

from __future__ import annotations

from kedro_datasets.matplotlib import MatplotlibDataset

from price_fusion.datasets.derived import Derived


class DerivedFigureDataset(Derived, MatplotlibDataset):  # type: ignore[misc]
    """A picture of a matplotlib ``Figure`` made from other files.

    Args:
        filepath: the picture.
        made_from: ``{filepath: ...}`` of each file it was made from, by any name.
        arguments: as of ``kedro_datasets.matplotlib.MatplotlibDataset``.
    """
