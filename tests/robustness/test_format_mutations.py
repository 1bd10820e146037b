"""Damaged files of embeddings: what has a checksum is read right or refused, and nothing crashes."""

from __future__ import annotations

from pathlib import Path

from support.measured import section_of


def test_damaged_files_end_in_what_was_written_or_a_named_error(tmp_path: Path) -> None:
    found = section_of("format_mutations", tmp_path, "--count", "15")["values"]
    assert found["checked formats read as something else"] == found["crashes and errors without a name"] == 0
    assert found["another shape or type"] == 0
    assert found["refused"] > found["mutations"] / 2
