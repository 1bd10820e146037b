"""Each harness runs to its end as a command, at tiny sizes; what it finds in the short forms is asserted beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.measured import assert_smoke_is_reported

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("command", "goals"),
    [
        ("kills", 2),
        ("mutations", 1),
        ("csv_mutations", 1),
        ("pickle_mutations", 2),
        ("format_mutations", 3),
        ("fuzzing", 2),
    ],
)
def test_smoke_sizes_end_in_a_section_on_reliability(command: str, goals: int, tmp_path: Path) -> None:
    assert_smoke_is_reported(command, goals, "reliability.md", tmp_path)
