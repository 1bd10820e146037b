"""Damaged pickles: nothing crashes but the child, and a digest notices what nothing else can."""

from __future__ import annotations

import json
from pathlib import Path

from .test_benchmarks import run


def test_damaged_pickles_end_in_the_right_answer_or_a_named_error(tmp_path: Path) -> None:
    run("pickle_mutations", "--count", "100", "--output", str(tmp_path))
    found = json.loads((tmp_path / "pickle_mutations.json").read_text(encoding="utf-8"))["values"]
    assert found["unnamed"] == found["crash of the child"] == found["unnoticed"] == 0
    assert found["refused"] > 50
