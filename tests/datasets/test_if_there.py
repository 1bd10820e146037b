"""A dataset that may not be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.if_there import IfThereDataset
from support.whole import whole


def test_none_until_it_is_there(tmp_path: Path) -> None:
    inner = {"type": "json.JSONDataset", "filepath": str(tmp_path / "a.json")}
    entry = {"type": "price_fusion.datasets.WholeFileDataset", "dataset": inner}
    optional = IfThereDataset(dataset=entry)
    assert optional.load() is None
    whole(tmp_path / "a.json").save({"a": 1})
    assert optional.load() == {"a": 1}
    (tmp_path / ".a.json.sha256").unlink()
    assert optional.load() is None
    with pytest.raises(DatasetFileError, match="read only"):
        optional.save({})
