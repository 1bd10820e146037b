"""Modules, functions, datasets, pipelines and parameters that the documentation and docstrings name are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from price_fusion.parameters import parse_project_parameters
from price_fusion.pipeline_registry import build_pipelines
from price_fusion.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from support.projects import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")
PACKAGE = REPOSITORY / "src/price_fusion"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
TEXTS = {page.relative_to(REPOSITORY).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
ARCHITECTURE = TEXTS["docs/architecture.md"]
NOT_OURS = {"NAME", "shop_margin", "cross_validate_tiny"}
"""Pipelines that pages tell how to add."""


def named(pattern: str) -> Iterator[tuple[str, str]]:
    """What a pattern finds in the pages, with the page."""
    return ((page, found) for page, text in TEXTS.items() for found in re.findall(pattern, text))


def parameters(given: str = "") -> dict[str, object]:
    runtime = OmegaConf.to_container(OmegaConf.from_dotlist(list(filter(None, given.split(",")))))
    loader = CONFIG_LOADER_CLASS(str(REPOSITORY / "conf"), env="base", runtime_params=runtime, **CONFIG_LOADER_ARGS)
    loaded: dict[str, object] = loader["parameters"]
    return loaded


def test_files_of_code_are_there() -> None:
    files = [path.as_posix() for root in ("src", "tests", "benchmarks") for path in (REPOSITORY / root).rglob("*.py")]
    docstrings = ((path, name) for path in files for name in re.findall(r"``([\w/]+\.py)``", Path(path).read_text()))
    for page, name in [*named(r"`([\w/]+\.py)`"), *docstrings]:
        assert any(path.endswith(f"/{name}") for path in files), f"{page}: {name}"


def test_the_table_of_packages_names_their_modules() -> None:
    rows = re.findall(r"^\| `([\w/]+)` \| (.*) \|$", ARCHITECTURE, flags=re.MULTILINE)
    assert len(rows) > 20
    for package, concern in rows:
        for name in re.findall(r"`(\w+)`", concern):
            place = PACKAGE / package / name
            assert place.is_dir() or place.with_suffix(".py").exists(), f"{package}: {name}"


def test_functions_are_in_the_modules_where_they_are_said_to_be() -> None:
    places = re.findall(r"`([\w.]+)`(?: and `(\w+)`)? in `([\w/]+\.py)`", ARCHITECTURE)
    assert len(places) > 5
    for *names, path in places:
        code = (PACKAGE / path).read_text(encoding="utf-8")
        for name in filter(None, names):
            assert re.search(rf"^ *(?:def|class) {name.split('.')[-1]}\b", code, flags=re.MULTILINE), f"{path}: {name}"


def test_datasets_that_are_loaded_are_there() -> None:
    pipelines = build_pipelines(parse_project_parameters(parameters())).values()
    datasets = set().union(*(pipeline.datasets() for pipeline in pipelines))
    loaded = list(named(r"catalog\.load\(\"([^\"]+)\"\)"))
    assert len(loaded) > 2
    for page, name in loaded:
        assert name in datasets, f"{page}: {name}"


def test_pipelines_and_parameters_of_commands_are_there() -> None:
    pipelines = set(build_pipelines(parse_project_parameters(parameters()))) | NOT_OURS
    for page, names in named(r"kedro run [^`\n]*?--pipelines ([\w,]+)(?![\w<])"):
        assert set(names.split(",")) <= pipelines, f"{page}: {names}"
    given = {text.rstrip(").,;") for _, text in named(r"kedro run [^`\n]*?--params ([^\s`<]+)(?![^\s`]*<)")}
    assert len(given) > 10
    for text in sorted(given):
        parse_project_parameters(parameters(text))
