"""A short form of the mutations: nothing crashes but the child, and a digest notices what nothing else can."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutations_end_in_the_right_answer_or_a_named_error(count: int, tmp_path: Path) -> None:
    output = tmp_path / "counts.json"
    command = [sys.executable, "benchmarks/pickle_mutations.py", "--count", str(count), "--output", str(output)]
    kinds = [
        "arrays-numpy-1*",
        "tensors*",
        "frame-arrays-pandas-3*",
        "frame-columns-pandas-1*",
        "frame-lists-pandas-3*",
    ]
    subprocess.run([*command, "--files", *kinds], cwd=REPOSITORY, check=True, capture_output=True)
    counts = json.loads(output.read_text(encoding="utf-8"))
    assert len(counts) == len(kinds)
    total = Counter[str]()
    for found in counts.values():
        total.update(found)
    assert total["unnamed"] == 0
    assert total["unnoticed with sha256"] == 0
    assert total["refused"] > count
    assert total.total() == count * len(kinds)
