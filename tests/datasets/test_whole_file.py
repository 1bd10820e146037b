"""Whole files: saved whole or not at all, with a digest that is checked, wherever the process dies."""

from __future__ import annotations

import errno
import inspect
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.io.core import AbstractDataset, Version
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.plotly import JSONDataset as FigureDataset
from kedro_datasets.yaml import YAMLDataset
from plotly.graph_objects import Figure, Scatter

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.made_from import Origins
from price_fusion.datasets.safe_csv import SafeCSVDataset
from price_fusion.datasets.whole_file import WholeFileDataset
from support.whole import whole

FRAME, LATER_FRAME = pd.DataFrame({"sample_id": [1, 2], "text": ["a", "b"]}), pd.DataFrame({"sample_id": [3]})


class Kind(NamedTuple):
    dataset: type[Any]
    first: Any
    second: Any
    preview: str


KINDS = {
    "csv": Kind(SafeCSVDataset, FRAME, LATER_FRAME, "TablePreview"),
    "parquet": Kind(ParquetDataset, FRAME, LATER_FRAME, "TablePreview"),
    "json": Kind(JSONDataset, {"a": 1}, [2], "JSONPreview"),
    "yaml": Kind(YAMLDataset, {"a": 1}, {"b": [2]}, "JSONPreview"),
    "figure.json": Kind(FigureDataset, Figure(), Figure(Scatter(x=[1], y=[2])), "PlotlyPreview"),
}


class Killed(BaseException):
    """Stands for a SIGKILL: nothing in the code under test catches it."""


@pytest.fixture(params=sorted(KINDS))
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kind(suffix: str) -> Kind:
    return KINDS[suffix]


@pytest.fixture
def path(tmp_path: Path, suffix: str) -> Path:
    return tmp_path / "new" / f"saved.{suffix}"


@pytest.fixture
def dataset(kind: Kind, path: Path) -> Any:
    return WholeFileDataset(dataset={"type": kind.dataset, "filepath": str(path)})


@pytest.fixture
def table(tmp_path: Path) -> WholeFileDataset:
    return whole(tmp_path / "table.csv")


def is_same(found: Any, expected: Any) -> bool:
    return bool(found.equals(expected) if isinstance(expected, pd.DataFrame) else found == expected)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_is_there_once_saved_and_holds_what_was_saved(dataset: Any, kind: Kind, path: Path) -> None:
    assert not dataset.exists()
    for data in (kind.first, kind.second):
        dataset.save(data)
        assert dataset.exists()
        assert names(path.parent) == {path.name, f".{path.name}.sha256"}
        assert is_same(dataset.load(), data)


def test_bytes_are_those_of_the_dataset_within(dataset: Any, kind: Kind, path: Path, tmp_path: Path) -> None:
    kind.dataset(filepath=str(tmp_path / path.name)).save(kind.first)
    dataset.save(kind.first)
    assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_processes_get_the_same_dataset(dataset: Any, kind: Kind) -> None:
    dataset.save(kind.first)
    sent = pickle.loads(pickle.dumps(dataset))
    assert sent.exists()
    assert is_same(sent.load(), kind.first)
    assert not sent._EPHEMERAL
    assert not getattr(sent, "_SINGLE_PROCESS", False)
    assert sent._describe()["filepath"] == str(dataset.recorded_file)


def test_texts_are_in_utf8_whatever_the_locale(tmp_path: Path) -> None:
    page = whole(tmp_path / "page.html")
    page.save("Türkçe €")
    assert (tmp_path / "page.html").read_bytes() == "Türkçe €".encode()
    assert page.load() == "Türkçe €"
    assert not hasattr(page, "preview")


def test_can_be_previewed_by_kedro_viz(dataset: Any, kind: Kind) -> None:
    dataset.save(kind.first)
    assert dataset.preview()
    annotation = inspect.signature(dataset.preview).return_annotation
    assert getattr(annotation, "__name__", annotation) == kind.preview


def test_damage_is_noticed_and_named(dataset: Any, kind: Kind, path: Path) -> None:
    dataset.save(kind.first)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(DatasetFileError, match=r"sha256 is [0-9a-f]{12}\.\.\., expected [0-9a-f]{12}\.\.\.") as caught:
        dataset.load()
    assert str(path) in str(caught.value)
    assert "Run the pipeline that makes it again" in str(caught.value)
    assert f"remove {path.with_name(f'.{path.name}.sha256')}" in str(caught.value)
    dataset.save(kind.first)
    assert dataset.exists()


def test_a_file_of_the_users_own_is_loaded_and_counts_as_missing(table: WholeFileDataset, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("sample_id\n3\n")
    assert is_same(table.load(), LATER_FRAME)
    assert not table.exists()


def test_a_digest_alone_is_no_file(table: WholeFileDataset, tmp_path: Path) -> None:
    table.save(FRAME)
    (tmp_path / "table.csv").unlink()
    assert not table.exists()
    with pytest.raises(DatasetError, match=r"is not there\. Run the pipeline"):
        table.load()


def steps_until_killed(monkeypatch: pytest.MonkeyPatch, allowed: int) -> Iterator[None]:
    """Let so many flushes, renames and removals through, and die at the next one."""
    originals, count = {"replace": Path.replace, "unlink": Path.unlink}, 0

    def tick() -> None:
        nonlocal count
        if count == allowed:
            raise Killed
        count += 1

    def replace(self: Path, target: Path) -> Path:
        tick()
        return originals["replace"](self, target)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if not missing_ok:
            tick()
        originals["unlink"](self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _descriptor: tick())
        patch.setattr(Path, "replace", replace)
        patch.setattr(Path, "unlink", unlink)
        yield


@pytest.mark.parametrize("allowed", range(10))
def test_wherever_it_dies_the_file_is_an_old_or_a_new_one_or_missing(
    table: WholeFileDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    table.save(FRAME)
    killed = False
    for _ in steps_until_killed(monkeypatch, allowed):
        try:
            table.save(LATER_FRAME)
        except Killed:
            killed = True
    assert killed == (allowed < 9)
    if allowed in (0, 1):  # nothing but the temporary was touched
        assert table.exists()
        assert is_same(table.load(), FRAME)
    elif table.exists():
        assert is_same(table.load(), LATER_FRAME)
    table.save(FRAME)
    assert table.exists()
    assert is_same(table.load(), FRAME)
    assert names(tmp_path) == {"table.csv", ".table.csv.sha256"}


def test_a_full_disk_is_named_and_leaves_the_earlier_file(
    dataset: Any, kind: Kind, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.save(kind.first)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(DatasetFileError, match=r"No space left on device.*What was there before is as it was"):
            dataset.save(kind.second)
    assert dataset.exists()
    assert path.read_bytes() == before
    assert names(path.parent) == {path.name, f".{path.name}.sha256"}


def test_what_cannot_be_written_leaves_the_earlier_file(tmp_path: Path) -> None:
    document = whole(tmp_path / "document.json")
    document.save({"a": 1})
    with pytest.raises(DatasetError, match="not JSON serializable"):
        document.save({"a": 2, "b": object()})
    assert document.exists()
    assert document.load() == {"a": 1}


def test_is_missing_once_what_it_was_made_from_is_another(table: WholeFileDataset, tmp_path: Path) -> None:
    origins = {name: whole(tmp_path / f"{name}.json") for name in ("first", "second")}
    for origin in origins.values():
        origin.save("as it was")
    table.origins = Origins(inputs=origins)
    table.save(FRAME)
    assert table.exists()
    for origin in origins.values():
        origin.save("changed")
        assert not table.exists()
        assert is_same(table.load(), FRAME)  # what is on disk can still be read
        origin.recorded_file.unlink()
        assert table.exists()  # it may be made again as it was
        origin.save("as it was")
        assert table.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": Version(None, "now")}, "has 'versioned' in the catalog"),
        ({"credentials": {"token": "x"}}, "has 'credentials' in the catalog"),
        ({"fs_args": {"open_args_save": {"mode": "a"}}}, "has 'fs_args' in the catalog"),
        ({"validator": {"class": "a.B"}}, "has 'validator' inside 'dataset', where it checks nothing"),
        ({"filepath": "memory://saved"}, "is on 'memory', expected a local path"),
        ({"filepath": "s3://bucket/saved"}, "is on 's3', expected a local path"),
    ],
)
def test_what_cannot_be_kept_whole_is_refused(kind: Kind, path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetFileError, match=message):
        WholeFileDataset(dataset={"type": kind.dataset, "filepath": str(path), **arguments})


@pytest.mark.parametrize("outside", [True, False])
def test_a_versioned_entry_of_a_catalog_is_refused(tmp_path: Path, outside: bool) -> None:
    inner = {"type": "json.JSONDataset", "filepath": str(tmp_path / "a.json")}
    versioned = {"versioned": True}
    entry = {
        "type": WholeFileDataset,
        "dataset": inner | ({} if outside else versioned),
        **(versioned if outside else {}),
    }
    with pytest.raises(DatasetError, match="has 'versioned' in the catalog, which whole files do not support"):
        AbstractDataset.from_config("table", entry)


def test_tables_are_safe_in_a_spreadsheet_and_in_utf8(table: WholeFileDataset, tmp_path: Path) -> None:
    table.save(pd.DataFrame({"sample_id": ["-1"], "text": ["=ürün()"], "price": [-1.5]}))
    assert (tmp_path / "table.csv").read_bytes().decode() == "sample_id,text,price\n-1,'=ürün(),-1.5\n"
    assert table.load()["text"].tolist() == ["'=ürün()"]


def test_a_cell_with_a_bare_carriage_return_stays_one_cell(table: WholeFileDataset) -> None:
    texts = ["a\rb", "\r", "c"]
    table.save(pd.DataFrame({"sample_id": [1, 2, 3], "text": texts, "price": [1.5, 2.5, 3.5]}))
    found = table.load()
    assert found["sample_id"].tolist() == [1, 2, 3]
    assert found["text"].tolist() == ["a\rb", "'\r", "c"]
    assert found["price"].tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("ids", [["007", "NA", "1e5", "3.0"], ["7", "NA"], [7, -3]])
def test_ids_come_back_as_they_were_saved(table: WholeFileDataset, ids: list[Any]) -> None:
    table.save(pd.DataFrame({"sample_id": ids, "price": 1.5}))
    assert table.load()["sample_id"].tolist() == ids
