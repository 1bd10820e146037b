"""Checks of the tables between stages, for the key ``validator`` of catalog entries.

The library does the checking, in numpy: pandera would add half a second to each run that loads such a table, and Kedro
shortens its messages.
"""

from __future__ import annotations

import pandas as pd

from price_fusion.data.checks.frame_checks import check_sample_table, check_split_table
from price_fusion.datasets.local_path import local_path


class SampleTableValidator:
    """Of a sample table.

    Args:
        filepath: its file, for messages.
    """

    def __init__(self, *, filepath: str) -> None:
        self._filepath = local_path(filepath)

    def validate(self, data: pd.DataFrame) -> pd.DataFrame:
        """The table itself, if it can be used."""
        check_sample_table(data, self._filepath)
        return data


class SplitTableValidator:
    """Of a split table.

    Args:
        filepath: its file, for messages.
    """

    def __init__(self, *, filepath: str) -> None:
        self._filepath = local_path(filepath)

    def validate(self, data: pd.DataFrame) -> pd.DataFrame:
        """The table itself, if it can be used."""
        check_split_table(data, self._filepath)
        return data
