"""A project of its own for each test module: the repository's conf/ and code, data in a temporary folder."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.warm_kedro import WarmKedro, WarmProcess

REPOSITORY = Path(__file__).parents[2]
SAMPLE = "fabrication.labelled=300,fabrication.unlabelled=60"
VARIANTS = ("two_branch", "moe", "four_branch", "hierarchical")
SHORT = ",".join(
    f"{variant}.{setting}"
    for variant in VARIANTS
    for setting in ("train.epochs=2", "model.branch.width=32", "model.head.hidden=[16]")
)
FEW = "comparison.resamples=200,comparison.boosting_rounds=20"
"""What makes ``compare`` short."""
VARIABLES = {"DO_NOT_TRACK": "1", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
"""One thread: several test processes that spin on two cores slow each other down manifold."""
TIMEOUT = 300
"""Of a command, seconds."""


@cache
def warm_kedro() -> WarmKedro:
    """The one of this test process."""
    kedro = WarmKedro(os.environ | VARIABLES)
    atexit.register(kedro.close)
    return kedro


@dataclass(frozen=True)
class Project:
    """A folder in which ``kedro`` runs."""

    path: Path

    def kedro(
        self, *arguments: str, environment: Mapping[str, str] | None = None, fails: bool = False, warm: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command; its exit status must be as expected.

        Args:
            arguments: of ``kedro``.
            environment: variables beside those of all commands.
            fails: whether it must.
            warm: whether packages may have been imported already (``warm_kedro.py``).
        """
        variables = os.environ | VARIABLES | dict(environment or {})
        if warm and warm_kedro().fits(variables):
            result = warm_kedro().run(arguments, self.path, variables, TIMEOUT)
        else:
            result = subprocess.run(
                [sys.executable, "-m", "kedro", *arguments],
                cwd=self.path,
                env=variables,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        assert (result.returncode != 0) == fails, result.stdout[-4000:] + result.stderr[-4000:]
        return result

    def make(self, *words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Run ``make``, with the environment of the tests instead of one that it installs; or see it fail."""
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(REPOSITORY / name, self.path / name)
        stamps = {name: self.path / f"{name}.made" for name in ("STAMP", "DEV_STAMP")}
        for stamp in stamps.values():
            stamp.touch()
        options = [f"{name}={value}" for name, value in {"BIN": Path(sys.executable).parent, **stamps}.items()]
        result = subprocess.run(
            ["make", *words, *options],
            cwd=self.path,
            env=os.environ | VARIABLES,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert (result.returncode != 0) == fails, result.stdout[-2000:] + result.stderr[-2000:]
        return result

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any) -> WarmProcess:
        """Start the real command, which goes on while the test does.

        Args:
            arguments: of ``kedro``.
            environment: variables beside those of all commands.
            options: of ``WarmKedro.start``.
        """
        return warm_kedro().start(arguments, self.path, os.environ | VARIABLES | dict(environment or {}), **options)

    def fresh_copy(self, path: Path) -> Project:
        """The same project with its raw data, elsewhere."""
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path)


def make_project(path: Path) -> Project:
    path.mkdir(parents=True, exist_ok=True)
    shutil.copytree(REPOSITORY / "conf", path / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(REPOSITORY / name, path / name)
    (path / "src").mkdir()  # Kedro wants one; the package itself is installed
    return Project(path)


@pytest.fixture(scope="session")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Project]:
    """A function that gives a project of a name: made by the first test process that wants it, copied by each."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def share(name: str, make: Callable[[Path], object]) -> Project:
        made, partial = common / f"{name}-project", common / f"{name}-project.partial"
        with FileLock(common / f"{name}-project.lock"):
            if not made.exists():
                shutil.rmtree(partial, ignore_errors=True)  # of a process that failed
                make(partial)
                partial.rename(made)
        return Project(made).fresh_copy(tmp_path_factory.mktemp(name) / "project")

    return share


@pytest.fixture(scope="session")
def sample_project(shared_project: Callable[..., Project]) -> Project:
    """A project with a small fabricated sample, and nothing run yet. Not to be changed: copy it."""

    def make(path: Path) -> None:
        make_project(path).kedro("run", "--pipelines", "fabricate", "--params", SAMPLE, warm=False)

    return shared_project("sample", make)


@pytest.fixture(scope="session")
def trained_project(sample_project: Project, shared_project: Callable[..., Project]) -> Project:
    """A project in which ``moe`` ran from raw files to a submission. Not to be changed: copy it."""
    return shared_project("trained", lambda path: sample_project.fresh_copy(path).kedro("run", "--params", SHORT))


@pytest.fixture(scope="session")
def compared_project(trained_project: Project, shared_project: Callable[..., Project]) -> Project:
    """A project in which two variants have been compared. Not to be changed: copy it."""

    def make(path: Path) -> None:
        project = trained_project.fresh_copy(path)
        (path / "conf/local").mkdir(exist_ok=True)
        (path / "conf/local/parameters.yml").write_text("variants: [two_branch, moe]\n")
        project.kedro("run", "--pipelines", "compare", "--params", f"{SHORT},{FEW}")

    return shared_project("compared", make)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Project], Project]:
    """Make a copy of a project that a test may change."""
    return lambda project: project.fresh_copy(tmp_path / "project")
