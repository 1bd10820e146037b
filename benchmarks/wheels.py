"""Which packages this project's GPU benchmarks need, in the versions of the lock file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from common import REPOSITORY, console

EXTRAS = ("lightgbm",)
FOR_TESTS = ("pytest", "pytest-xdist", "hypothesis", "optuna")
WITHOUT = {"kedro-viz", "alembic", "sqlalchemy"}
"""What is never imported there: the server of kedro-viz, and the databases of optuna."""


def write_wheels(path: Path, present: Iterable[str]) -> None:
    """Write one ``name==version`` a line, of all that is needed and not there.

    Args:
        path: of the new file.
        present: packages that the machine has; what only they need is left out with them.
    """
    locked = locked_versions()
    names = needed({canonicalize_name(name) for name in present} | WITHOUT)
    missing = sorted(name for name in names if name not in locked)
    if missing:
        raise SystemExit(f"requirements.lock does not have {', '.join(missing)}. Run 'make lock'.")
    path.write_text("".join(f"{name}=={locked[name]}\n" for name in sorted(names)), encoding="utf-8")
    console.print(f"{len(names)} packages written to {path}", highlight=False)


def locked_versions() -> dict[str, str]:
    """Versions by canonical name."""
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {str(canonicalize_name(name)): version for name, version in pairs}


def needed(without: Iterable[str]) -> set[str]:
    """Canonical names of the project's dependencies and theirs, as this environment has them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    left = [Requirement(line) for line in (*project["dependencies"], *extras, *FOR_TESTS)]
    seen, found, skipped = set(), set(), set(without)
    while left:
        requirement = left.pop()
        name, key = str(canonicalize_name(requirement.name)), str(requirement)
        if name in skipped or key in seen:
            continue
        seen.add(key)
        found.add(name)
        left += dependencies_of(requirement)
    return found


def dependencies_of(requirement: Requirement) -> list[Requirement]:
    """What a package asks for on this system, with the extras that are asked of it."""
    try:
        lines = requires(requirement.name) or []
    except PackageNotFoundError:
        raise SystemExit(f"{requirement.name} is not installed here: its dependencies are not known") from None
    asked = [Requirement(line) for line in lines]
    return [
        one
        for one in asked
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras))
    ]
