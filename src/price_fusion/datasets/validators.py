"""Checks of the tables between stages, for the key ``validator`` of catalog entries.

The library does the checking, in numpy: pandera would add half a second to each run that loads such a table, and Kedro
shortens its messages.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from price_fusion.data.checks.frame_checks import check_sample_table, check_split_table
from price_fusion.datasets.local_path import local_path


class _TableValidator:
    """Of a table.

    Args:
        filepath: its file, for messages.
    """

    _check: Callable[[pd.DataFrame, Path], None]

    def __init__(self, *, filepath: str) -> None:
        self._filepath = local_path(filepath)

    def validate(self, data: pd.DataFrame) -> pd.DataFrame:
        """The table itself, if it can be used."""
        self._check(data, self._filepath)
        return data


class SampleTableValidator(_TableValidator):
    """Of a sample table; ``filepath`` is its file, for messages."""

    _check = staticmethod(check_sample_table)


class SplitTableValidator(_TableValidator):
    """Of a split table; ``filepath`` is its file, for messages."""

    _check = staticmethod(check_split_table)
