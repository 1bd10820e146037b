"""What a page mentions if another pipeline has made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from price_fusion.pipelines.reporting.further import importances_found, leaks_found
from support.whole import whole


def test_what_has_not_been_made_is_none(tmp_path: Path) -> None:
    assert leaks_found(tmp_path) == {"overlaps": None, "informed_sources": None}
    assert importances_found(tmp_path, "moe") == {"permuted": None, "left out": None}


def test_what_has_been_made_is_read(tmp_path: Path) -> None:
    whole(tmp_path / "leaks/leak_report.json").save({"overlaps": []})
    table = pd.DataFrame({"part": ["words"], "importance_points": [1.5]})
    whole(tmp_path / "moe/permutation_importance.csv").save(table)
    assert leaks_found(tmp_path) == {"overlaps": {"overlaps": []}, "informed_sources": None}
    found = importances_found(tmp_path, "moe")
    pd.testing.assert_frame_equal(found["permuted"], table)
    assert found["left out"] is None
    assert importances_found(tmp_path, "two_branch") == {"permuted": None, "left out": None}


def test_what_is_damaged_is_none_and_named(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "leaks/leak_report.json"
    whole(path).save({"overlaps": []})
    path.write_text("{}")
    assert leaks_found(tmp_path)["overlaps"] is None
    assert "leak_report.json" in caplog.text
