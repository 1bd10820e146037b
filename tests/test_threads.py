"""The thread policy of the package, which OpenMP reads when torch is imported: after the package, or never."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOADED_FIRST = "import sys, types; sys.modules['torch'] = types.ModuleType('torch'); import price_fusion"
PRINTED = "import os, price_fusion; print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])"


def shown(code: str, **variables: str) -> str:
    """What a fresh interpreter prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    result = subprocess.run(
        [sys.executable, "-c", code], env=plain | variables, capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout + result.stderr


def test_threads_hardly_spin_unless_the_user_says_so() -> None:
    assert shown(PRINTED) == "PASSIVE 3000\n"
    assert shown(PRINTED, OMP_WAIT_POLICY="ACTIVE", GOMP_SPINCOUNT="5") == "ACTIVE 5\n"


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp")
def test_torch_before_the_package_is_warned_of_with_what_to_do() -> None:
    message = shown(LOADED_FIRST)
    assert message.count("RuntimeWarning") == 1
    assert "torch was imported before price_fusion" in message
    assert "Import price_fusion first, or set OMP_WAIT_POLICY=PASSIVE and GOMP_SPINCOUNT=3000" in message


@pytest.mark.parametrize("variables", [{"OMP_WAIT_POLICY": "PASSIVE"}, {"OMP_NUM_THREADS": "1"}])
def test_where_threads_cannot_spin_nothing_is_said(variables: dict[str, str]) -> None:
    assert shown(LOADED_FIRST, **variables) == ""
