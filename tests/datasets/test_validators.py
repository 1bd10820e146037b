"""Validators of catalog entries: Kedro applies them, and the library's error is in the chain."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError

from price_fusion.console.errors import own_error
from price_fusion.errors import DataError


@pytest.mark.parametrize("validator", ["SampleTableValidator", "SplitTableValidator"])
def test_a_bad_table_is_refused_on_loading(validator: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"sample_id": [1, 1]}).to_parquet(path)
    catalog = DataCatalog.from_config(
        {
            "table": {
                "type": "pandas.ParquetDataset",
                "filepath": str(path),
                "validator": {
                    "class": f"price_fusion.datasets.validators.{validator}",
                    "options": {"filepath": str(path)},
                },
            }
        }
    )
    with pytest.raises(DatasetError) as caught:
        catalog.load("table")
    own = own_error(caught.value)
    assert isinstance(own, DataError)
    assert len(own.problems) == 2
    assert all(problem.startswith(f"{path}: ") for problem in own.problems)


def test_a_sound_table_is_given_as_it_is(tmp_path: Path) -> None:
    from price_fusion.datasets.validators import SampleTableValidator

    frame = pd.DataFrame({"sample_id": [1, 2], "place": [1, 0], "group_key": [0, 1], "price": [1.0, 2.0]})
    assert SampleTableValidator(filepath="samples.parquet").validate(frame) is frame
