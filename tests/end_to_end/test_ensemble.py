"""``ensemble`` and ``cross_validate_<variant>``, as users type them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from price_fusion import Predictor
from price_fusion.data.table import EmbeddingTable
from price_fusion.prediction.ensemble import Ensemble
from support.projects import Project

SMALL = {
    "sources": ["qwen_text", "quantity"],
    "model": {"branch": {"width": 32}, "head": {"hidden": [16]}},
    "train": {"epochs": 2},
}
PARAMETERS: dict[str, Any] = {
    "variants": ["two_branch"],
    "two_branch": SMALL,
    "comparison": {"resamples": 100},
    "ensemble": {"presets": {"quick": {"members": ["two_branch", "ridge"], "refits": 1}}, "weights": "convex"},
}
RUN = ("run", "--pipelines", "ensemble", "--params")
QUICK = "ensemble.preset=quick"
DIVERGES = f"{QUICK},two_branch.train.learning_rate=1e12"
LEVELS = ["price_low_90", "price_low", "price", "price_high", "price_high_90"]

CopyOf = Callable[[Project], Project]


@pytest.fixture(scope="module")
def ensembled(sample_project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which ``ensemble`` ran from raw files to a submission, and what that printed. Copy it to change it."""
    project = sample_project.fresh_copy(tmp_path_factory.mktemp("ensembled") / "project")
    (project.path / "conf/local").mkdir(exist_ok=True)
    (project.path / "conf/local/parameters.yml").write_text(yaml.safe_dump(PARAMETERS))
    return project, words(project.kedro(*RUN, QUICK).stdout)


def words(printed: str) -> str:
    """What was printed, lines joined."""
    return " ".join(printed.split())


def reported(project: Project, name: str) -> Path:
    return project.path / "data/08_reporting/ensemble" / name


def manifest(project: Project) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((project.path / "data/06_models/ensemble/manifest.json").read_text())
    return contents


def test_prices_each_product_with_an_interval(ensembled: tuple[Project, str]) -> None:
    data = ensembled[0].path / "data"
    submission = pd.read_csv(data / "07_model_output/ensemble/test_out.csv")
    intervals = pd.read_csv(data / "07_model_output/ensemble/price_intervals.csv")
    assert list(submission) == ["sample_id", "price"]
    assert submission["sample_id"].tolist() == pd.read_csv(data / "01_raw/dataset/test.csv")["sample_id"].tolist()
    assert (np.isfinite(submission["price"]) & (submission["price"] > 0)).all()
    pd.testing.assert_frame_equal(intervals[["sample_id", "price"]], submission)
    assert set(intervals) == {"sample_id", *LEVELS, "unit_price", "unit"}
    assert (intervals[LEVELS].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert (intervals["price_low"] < intervals["price_high"]).all()


def test_lists_members_and_what_the_holdout_says(ensembled: tuple[Project, str]) -> None:
    project, printed = ensembled
    members = pd.read_csv(reported(project, "members.csv"))
    assert set(members["member"]) == {"two_branch", "ridge", "ensemble"}
    assert members["member"].iloc[-1] == "ensemble"
    assert members["weight"].iloc[:-1].sum() == pytest.approx(1)
    metrics = json.loads(reported(project, "metrics.json").read_text())
    assert metrics["split"] == "holdout"
    assert metrics["smape"] == pytest.approx(members["smape"].iloc[-1])
    coverage = pd.read_csv(reported(project, "interval_coverage.csv"))
    assert coverage.loc[coverage["group"] == "all", "rows"].tolist() == [metrics["rows"]] * 2
    for table in ("Ensemble", "out-of-fold SMAPE %", "Price intervals", "true price inside %"):
        assert table in printed


def test_a_second_run_trains_nothing_and_may_submit_intervals(ensembled: tuple[Project, str], copy_of: CopyOf) -> None:
    project = copy_of(ensembled[0])
    submission = project.path / "data/07_model_output/ensemble/test_out.csv"
    before, models = pd.read_csv(submission), manifest(project)
    printed = project.kedro(*RUN, f"{QUICK},inference.intervals_in_submission=true").stdout
    for member in ("two_branch", "ridge"):
        assert f"{member}: 6 of 6 models are there already" in printed
    assert "s left" not in printed
    assert manifest(project) == models
    after = pd.read_csv(submission)
    assert set(after) == {"sample_id", *LEVELS}
    pd.testing.assert_frame_equal(after[["sample_id", "price"]], before)


def test_the_folder_of_the_ensemble_is_all_that_a_predictor_needs(
    ensembled: tuple[Project, str], tmp_path: Path
) -> None:
    data = ensembled[0].path / "data"
    shutil.copytree(data / "06_models/ensemble_final", tmp_path / "mine")
    predictor = Predictor.load(tmp_path / "mine")
    assert isinstance(predictor.model, Ensemble)
    assert predictor.model.rows == len(pd.read_csv(data / "01_raw/dataset/train.csv"))
    assert predictor.widths == {"qwen_text": 1027}
    assert predictor.columns == {"quantity": ("catalog_content",)}
    tables = {name: EmbeddingTable(data / f"03_primary/tables/{name}/test") for name in ("qwen_text", "quantity")}
    samples = pd.read_parquet(data / "03_primary/test_samples.parquet").sort_values("place")
    prices = predictor.predict_samples(samples, tables)
    np.testing.assert_allclose(prices, pd.read_csv(data / "07_model_output/ensemble/test_out.csv")["price"], rtol=1e-9)
    products = pd.read_csv(data / "01_raw/dataset/test.csv").head(5)
    found = predictor.predict_intervals({"qwen_text": np.ones((5, 1027))}, products)
    assert ((found["price_low"] <= found["price"]) & (found["price"] <= found["price_high"])).all()


def test_a_member_that_fails_ends_the_run_or_is_left_out(ensembled: tuple[Project, str], copy_of: CopyOf) -> None:
    project = copy_of(ensembled[0])
    before = manifest(project)
    stopped = project.kedro(*RUN, DIVERGES, fails=True)
    assert "member 'two_branch' of the ensemble failed; ensemble.failed_members: leave_out goes on" in words(
        stopped.stdout
    )
    assert "two_branch: the loss became" in stopped.stderr
    assert "Lower two_branch.train.learning_rate" in stopped.stderr
    assert manifest(project) == before

    went_on = words(project.kedro(*RUN, f"{DIVERGES},ensemble.failed_members=leave_out").stdout)
    assert "member 'two_branch' of the ensemble failed and is left out: two_branch: the loss became" in went_on
    after = manifest(project)
    assert [member["name"] for member in after["members"]] == ["ridge"]
    assert "the loss became" in after["failed"]["two_branch"]
    assert not list((project.path / "data/06_models/ensemble").glob("two_branch*"))
    assert pd.read_csv(reported(project, "members.csv"))["member"].tolist() == ["ridge", "ensemble"]

    printed = words(project.kedro(*RUN, QUICK).stdout)
    assert "two_branch: fold 4, seed 41" in printed  # what had failed is trained again
    assert manifest(project)["failed"] == {}


def test_without_a_holdout_it_says_what_its_figures_are_of(ensembled: tuple[Project, str], copy_of: CopyOf) -> None:
    project = copy_of(ensembled[0])
    printed = words(project.kedro(*RUN, f"{QUICK},splitting.proportions=80/20/0").stdout)
    assert "there is no holdout" in printed
    assert "an ensemble's members are fitted on" in printed
    assert json.loads(reported(project, "metrics.json").read_text())["split"] == "validation"
    assert set(pd.read_csv(reported(project, "evaluation_results.csv"))["split"]) == {"validation"}
    assert json.loads(reported(project, "interval_summary.json").read_text())["split"] == "validation"
    members = pd.read_csv(reported(project, "members.csv"))
    assert members["smape"].isna().all()  # members were fitted on all rows
    assert members["out_of_fold_smape"].notna().all()


def test_cross_validation_prints_out_of_fold_metrics(ensembled: tuple[Project, str], copy_of: CopyOf) -> None:
    project = copy_of(ensembled[0])
    printed = words(project.kedro("run", "--pipelines", "cross_validate_two_branch").stdout)
    assert "two_branch: 5 of 5 models are there already" in printed  # those of the ensemble
    metrics = json.loads((project.path / "data/08_reporting/two_branch/out_of_fold_metrics.json").read_text())
    split = pd.read_parquet(project.path / "data/05_model_input/split_table.parquet")
    assert metrics["split"] == "out of fold"
    assert metrics["rows"] == (split["fold"] >= 0).sum() == (split["split"] != "holdout").sum()
    assert metrics["smape_low"] < metrics["smape"] < metrics["smape_high"]
    assert (
        f"out of fold: SMAPE {metrics['smape']:.2f} % [{metrics['smape_low']:.2f}, {metrics['smape_high']:.2f}]"
        in printed
    )
    assert f"two_branch │ out of fold │ {metrics['rows']} │ {metrics['smape']:.2f}" in printed
    by_fold = pd.read_csv(project.path / "data/08_reporting/two_branch/metrics_by_fold.csv")
    assert by_fold["fold"].tolist() == list(range(5))
    assert by_fold["rows"].sum() == metrics["rows"]
