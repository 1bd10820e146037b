"""Damaged product CSVs: the named error, or what the bytes say."""

from __future__ import annotations

import json
from pathlib import Path

from .test_benchmarks import run


def test_a_damaged_csv_is_refused_by_name_or_read_as_it_says(tmp_path: Path) -> None:
    run("csv_mutations", "--count", "210", "--output", str(tmp_path))
    found = json.loads((tmp_path / "csv_mutations.json").read_text(encoding="utf-8"))["values"]
    assert found == {"mutations": 210, "bad": 0}
