"""The commands and programs of the README and the tutorial run, in their order, on a small sample and with short trainings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import yaml

from support.projects import FEW, REPOSITORY, SAMPLE, SHORT, Project, make_project

PAGES = ("README.md", "docs/tutorial.md")
NOT_HERE = {
    "make test": "these are the tests",
    "pytest": "these are the tests",
    "python3 -m venv .venv && source .venv/bin/activate": "the tests run in an environment",
    'pip install --constraint requirements.lock --editable ".[dev]"': "likewise",
    "source .venv/bin/activate": "likewise",
    "kedro viz run --include-hooks": "a server; test_viz.py looks at the same as a static site",
    "make viz": "likewise",
}
"""Commands that are not run, and why."""


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: empty for commands.
        code: its lines.
    """

    language: str
    code: str


def blocks(page: str) -> list[Block]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block("" if language == "bash" else language, code) for language, code in found]


def commands(page: str) -> list[str]:
    """Lines of all blocks of commands, without remarks and without those of ``NOT_HERE``."""
    lines = [line for block in blocks(page) if not block.language for line in block.code.splitlines()]
    plain = [line.split("  #")[0].strip() for line in lines]
    return [line for line in plain if line and line not in NOT_HERE]


@pytest.fixture(scope="module")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project without data, whose own configuration keeps everything small: commands need not be changed."""
    project = make_project(tmp_path_factory.mktemp("documented") / "project")
    local = project.path / "conf/local/parameters.yml"
    local.parent.mkdir(exist_ok=True)
    parameters: dict[str, object] = {"variants": ["two_branch", "moe"]}
    for field in re.split(r",(?=\w+\.)", f"{SAMPLE},{SHORT},{FEW}"):
        path, _, value = field.partition("=")
        *sections, name = path.split(".")
        inner = parameters
        for section in sections:
            inner = inner.setdefault(section, {})  # type: ignore[assignment]
        inner[name] = yaml.safe_load(value)
    local.write_text(yaml.safe_dump(parameters))
    return project


@pytest.fixture(scope="module")
def make(small_project: Project) -> Callable[[str], None]:
    """A function that runs ``make``; a command of both pages runs once."""

    @cache
    def run(command: str) -> None:
        small_project.make(*command.split()[1:])

    return run


@pytest.mark.parametrize("page", PAGES)
def test_commands_run_in_their_order(page: str, small_project: Project, make: Callable[[str], None]) -> None:
    listed = commands(page)
    assert len(listed) >= 5
    for command in listed:
        program, _, arguments = command.partition(" ")
        assert program in ("kedro", "make"), f"{page}: {command}: not of a kind that is tried; see NOT_HERE"
        if program == "make":
            make(command)
        else:
            small_project.kedro(*arguments.split())


@pytest.mark.parametrize("page", PAGES)
def test_programs_run(page: str, small_project: Project, make: Callable[[str], None]) -> None:
    programs = [block.code for block in blocks(page) if block.language == "python"]
    assert programs
    make("make run")
    for program in programs:
        words = [sys.executable, "-W", "error", "-c", program]
        variables = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            words, cwd=small_project.path, env=variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_is_still_there(page: str) -> None:
    text = "".join((REPOSITORY / one).read_text(encoding="utf-8") for one in PAGES)
    assert all(command in text for command in NOT_HERE)
    targets = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (REPOSITORY / page).read_text(encoding="utf-8")))
    assert named <= targets
