"""Damaged product CSVs: the named error, or what the bytes say."""

from __future__ import annotations

from .test_benchmarks import run


def test_a_damaged_csv_is_refused_by_name_or_read_as_it_says():
    found = run("csv_mutations", "--count", "210")
    assert "0 READ, BUT NOT WHAT THE BYTES SAY, 0 ANOTHER EXCEPTION" in found
    assert "210 mutations: " in found
