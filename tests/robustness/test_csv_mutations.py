"""Damaged product CSVs: the named error, or what the bytes say."""

from __future__ import annotations

from pathlib import Path

from support.measured import section_of


def test_a_damaged_csv_is_refused_by_name_or_read_as_it_says(tmp_path: Path) -> None:
    found = section_of("csv_mutations", tmp_path, "--count", "210", warm=True)["values"]
    assert found == {"mutations": 210, "bad": 0}
