"""Damaged pickles: nothing crashes but the child, and a digest notices what nothing else can."""

from __future__ import annotations

from pathlib import Path

from support.measured import section_of


def test_damaged_pickles_end_in_the_right_answer_or_a_named_error(tmp_path: Path) -> None:
    found = section_of("pickle_mutations", tmp_path, "--count", "100")["values"]
    assert found["unnamed"] == found["crash of the child"] == found["unnoticed"] == 0
    assert found["refused"] > 50
