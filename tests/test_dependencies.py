"""The lock file pins what pyproject.toml declares, within its ranges."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [
    requirement
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, group)
    if requirement.name != PROJECT["name"]
]


def pins() -> dict[str, str]:
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_each_line_of_the_lock_file_is_one_exact_version() -> None:
    for name, version in pins().items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), (name, version)


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_each_declared_package_is_pinned_within_its_range(requirement: Requirement) -> None:
    version = {canonicalize_name(name): pin for name, pin in pins().items()}[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)
    assert requirement.specifier  # no range, no promise
