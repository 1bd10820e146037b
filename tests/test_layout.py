"""What docs/architecture.md promises of packages and modules, as far as import-linter does not check it."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

import price_fusion
from price_fusion import lazy
from price_fusion.compute.local import IMPORTED
from price_fusion.training.code_digest import CODE

ROOT = Path(price_fusion.__file__).parent
MOST_MODULES = 12
EXEMPT = {"datasets"}
"""Class paths stand in catalogs of users."""
NOT_THE_LIBRARY = {"configuration", "console", "datasets", "hooks", "onboarding", "pipelines", "runs"}
TWO_LAYERS = {
    "checkpoint": "file and dataset",
    "columns": "tables and branches of column sources",
    "embedding_files": "readers and dataset",
    "errors": "classes, refusals of datasets, and how they are shown",
    "made_from": "records and the hook that works them out",
    "summary": "tables of a run and the hook that prints them",
    "tracking": "parameters and what is logged",
    "tuning": "parameters and trials",
}
"""One concern on several layers; every pipeline has its own ``nodes`` and ``pipeline``, and those of ``compute.partitions``
their ``partition_nodes``."""


def modules() -> list[Path]:
    return [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py")) if path.name != "__init__.py"]


def test_no_package_has_more_than_a_dozen_modules() -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in modules():
        counts[path.parent.as_posix()] += 1
    assert {name: count for name, count in counts.items() if count > MOST_MODULES and name not in EXEMPT} == {}


def test_modules_share_a_name_only_where_they_are_one_concern_on_several_layers() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        places[path.stem].append(path.as_posix())
    shared = {name for name, found in places.items() if len(found) > 1}
    assert shared == {"nodes", "partition_nodes", "pipeline", *TWO_LAYERS}


def test_each_package_says_what_it_is_for() -> None:
    packages = {path.parent for path in modules()} - {Path()}
    assert [
        one for one in packages if not (ROOT / one / "__init__.py").read_text(encoding="utf-8").startswith('"""')
    ] == []


def test_the_digest_of_code_is_of_the_whole_library() -> None:
    packages = {path.parts[0] for path in modules() if len(path.parts) > 1}
    assert set(CODE) == packages - NOT_THE_LIBRARY


@pytest.mark.parametrize("name", IMPORTED)
def test_what_the_server_of_workers_imports_is_there(name: str) -> None:
    assert importlib.util.find_spec(name) is not None


def test_the_former_package_names_its_successor() -> None:
    for name in ("price_fusion.fusion", "price_fusion.fusion.predictor"):
        with pytest.raises(ImportError, match="from price_fusion import Predictor"):
            importlib.import_module(name)


def test_predictor_is_imported_from_the_package_and_torch_only_with_it(
    modules_after: Callable[[str], set[str]],
) -> None:
    assert "torch" not in modules_after("import price_fusion")
    assert "torch" in modules_after("from price_fusion import Predictor")


def test_settings_and_pipelines_are_built_without_large_packages(modules_after: Callable[[str], set[str]]) -> None:
    """``kedro registry list`` and the start of each run wait for what is imported here."""
    loaded = modules_after("import price_fusion.settings, price_fusion.cli, price_fusion.pipeline_registry")
    assert not {"torch", "pandas", "pyarrow", "scipy", "sklearn", "plotly", "matplotlib", "duckdb"} & loaded
    assert not {"filelock", "rich.progress"} & loaded
    own = ["data.readers.delimited", "data.readers.embedding_files", "onboarding", "pipelines.fabrication.shop"]
    own += ["selection.leaks", "selection.study"]
    assert not {f"price_fusion.{name}" for name in own} & loaded


def test_a_lazy_module_is_imported_when_it_is_used(modules_after: Callable[[str], set[str]]) -> None:
    assert "pandas" not in modules_after("from price_fusion.lazy import pd")
    assert "pandas" in modules_after("from price_fusion.lazy import pd; pd.DataFrame")
    with pytest.raises(AttributeError, match="DataFram"):
        _ = lazy.pd.DataFram  # type: ignore[attr-defined]


def test_threads_that_need_a_lazy_module_wait_until_it_is_whole(modules_after: Callable[[str], set[str]]) -> None:
    statement = """
from concurrent.futures import ThreadPoolExecutor
from price_fusion.lazy import pd
with ThreadPoolExecutor(4) as pool:
    for found in [pool.submit(lambda: pd.DataFrame) for _ in range(4)]:
        found.result()"""
    assert "pandas" in modules_after(statement)


def test_what_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Predicter"):
        _ = price_fusion.Predicter  # type: ignore[attr-defined]
