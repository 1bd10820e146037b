"""The report of all inputs: when it is made, what is in it, and when it is cleared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from price_fusion.datasets.id_list import IdListDataset
from price_fusion.errors import DataError, TrainingError
from price_fusion.hooks.input_report import REPORT, InputReportHooks
from price_fusion.runs.input_trial import raw_inputs

PIPELINE = Pipeline(
    [
        Node(
            lambda one, other, plain: one,
            inputs=["one_tuned_on_ids", "other_tuned_on_ids", "plain"],
            outputs="joined",
            name="join",
        )
    ]
)


@pytest.fixture
def catalog(tmp_path: Path) -> DataCatalog:
    for name in ("one", "other"):
        (tmp_path / f"{name}.csv").write_text("sample_id\n1\n2\n")
    datasets: dict[str, Any] = {
        f"{name}_tuned_on_ids": IdListDataset(filepath=str(tmp_path / f"{name}.csv")) for name in ("one", "other")
    }
    report = JSONDataset(filepath=str(tmp_path / "report.json"))
    return DataCatalog(datasets | {"plain": MemoryDataset(1), REPORT: report})


def report(folder: Path) -> list[str]:
    return [problem["problem"] for problem in json.loads((folder / "report.json").read_text())["problems"]]


def failure(catalog: DataCatalog, name: str) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        catalog.load(name)
    return caught.value


def test_only_files_of_users_are_tried(catalog: DataCatalog) -> None:
    assert list(raw_inputs(PIPELINE, catalog)) == ["one_tuned_on_ids", "other_tuned_on_ids"]


def test_all_files_that_cannot_be_read_are_listed(catalog: DataCatalog, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_bytes(b"\xff")
    (tmp_path / "other.csv").unlink()
    error = failure(catalog, "other_tuned_on_ids")
    with pytest.raises(DataError) as caught:
        InputReportHooks().on_pipeline_error(error=error, run_params={}, pipeline=PIPELINE, catalog=catalog)
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith("2 problems in 2 input(s) of this run:\n  1. ")
    assert [
        str(tmp_path / name) in text for name, text in zip(("one.csv", "other.csv"), caught.value.problems, strict=True)
    ]
    assert report(tmp_path) == list(caught.value.problems)


def test_an_error_of_one_file_stays_as_it_is(catalog: DataCatalog, tmp_path: Path) -> None:
    (tmp_path / "one.csv").unlink()
    error = failure(catalog, "one_tuned_on_ids")
    InputReportHooks().on_pipeline_error(error=error, run_params={}, pipeline=PIPELINE, catalog=catalog)
    assert len(report(tmp_path)) == 1


def test_an_error_that_says_it_all_stays_as_it_is(catalog: DataCatalog, tmp_path: Path) -> None:
    error = DataError("several likely mistakes, set on_suspicion to 'warn'", ["one mistake", "another mistake"])
    InputReportHooks().on_pipeline_error(error=error, run_params={}, pipeline=PIPELINE, catalog=catalog)
    assert report(tmp_path) == ["one mistake", "another mistake"]


def test_an_error_of_no_file_comes_first(catalog: DataCatalog, tmp_path: Path) -> None:
    (tmp_path / "one.csv").unlink()
    with pytest.raises(DataError) as caught:
        InputReportHooks().on_pipeline_error(
            error=DataError("too few products"), run_params={}, pipeline=PIPELINE, catalog=catalog
        )
    assert caught.value.problems[0] == "too few products"
    assert len(caught.value.problems) == 2


def test_other_errors_are_not_of_inputs(catalog: DataCatalog, tmp_path: Path) -> None:
    (tmp_path / "one.csv").unlink()
    for error in (TrainingError("the loss became nan"), ValueError("a bug")):
        InputReportHooks().on_pipeline_error(error=error, run_params={}, pipeline=PIPELINE, catalog=catalog)
    assert not (tmp_path / "report.json").exists()


def test_a_run_that_can_use_its_inputs_clears_the_report(catalog: DataCatalog, tmp_path: Path) -> None:
    InputReportHooks().after_pipeline_run(pipeline=PIPELINE, catalog=catalog)
    assert not (tmp_path / "report.json").exists()
    catalog.save(REPORT, {"problems": [{"problem": "of an earlier run"}]})
    InputReportHooks().after_pipeline_run(pipeline=PIPELINE, catalog=catalog)
    assert report(tmp_path) == []


def test_a_report_that_cannot_be_written_hides_nothing(
    catalog: DataCatalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "report.json").mkdir()
    (tmp_path / "one.csv").unlink()
    InputReportHooks().on_pipeline_error(
        error=failure(catalog, "one_tuned_on_ids"), run_params={}, pipeline=PIPELINE, catalog=catalog
    )
    assert "validation_report could not be saved" in caplog.text
