"""Output whose reader has gone, or whose disk is full, ends nothing and is mentioned once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TALK = """
import sys
from price_fusion.console.output import outlast_readers
outlast_readers()
for number in range(40_000):
    print(number)
sys.stdout.flush()
sys.exit(7)
"""
QUIET = TALK.replace("40_000", "1")  # stays in the buffer until the end


@pytest.mark.parametrize("code", [TALK, QUIET.replace("sys.stdout.flush()", "")])
def test_a_full_disk_is_said_once(code: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 7
    assert done.stderr.splitlines() == [
        "standard output can no longer be written (No space left on device): going on without it. What comes of the run is in "
        "its record: kedro price-fusion runs"
    ]


def test_a_reader_that_goes_away_is_said_once() -> None:
    talking = subprocess.Popen([sys.executable, "-c", TALK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert talking.stdout is not None
    assert talking.stderr is not None
    assert talking.stdout.readline() == "0\n"
    talking.stdout.close()
    said = talking.stderr.read().splitlines()
    talking.stderr.close()
    assert talking.wait() == 7
    assert len(said) == 1
    assert "Broken pipe" in said[0]


def test_both_may_go() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", TALK], stdout=full, stderr=full, check=False)
    assert done.returncode == 7
