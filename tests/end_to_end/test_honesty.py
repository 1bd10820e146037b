"""Nothing that is evaluated looks at a price of the holdout, be it trained, chosen, blended or calibrated.

Prices of all holdout rows are changed behind the back of everything after splitting; what is made of the others must not
differ in a byte. The final fits, which are fitted after the evaluation and never evaluated, must: they see all rows.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from price_fusion.models.checkpoint import load_checkpoint
from support.projects import Project

BOOSTED = [kind for kind in ("lightgbm", "catboost") if find_spec(kind)]
MEMBERS = ["two_branch", "ridge", "kernel_ridge", "neighbours", *BOOSTED]
SMALL = {
    "sources": ["qwen_text", "quantity"],
    "model": {"branch": {"width": 32}, "head": {"hidden": [16]}},
    "train": {"epochs": 2},
}
FOLDS = 3
PARAMETERS: dict[str, Any] = {
    "variants": ["two_branch", "moe"],
    "splitting": {"folds": FOLDS},
    "two_branch": SMALL,
    # This one selects its epoch, too.
    "moe": SMALL | {"train": {"epochs": 2, "keep": "best"}},
    "comparison": {"boosting_rounds": 10, "boosting_threads": 1, "resamples": 100},
    "ensemble": {"preset": "all", "presets": {"all": {"members": MEMBERS}}, "weights": "convex"},
}
PIPELINES = "two_branch,train_moe,cross_validate_moe,ensemble"
AFTER_SPLITTING = "align,train,cross_validate,ensemble,evaluate,predict"
ON_THE_HOLDOUT = {"evaluation_results.csv", "metrics.json", "metrics_by_price.csv", "best_and_worst.csv", "members.csv"}
ALSO_ON_THE_HOLDOUT = {"interval_coverage.csv", "interval_summary.json", "gate_report.json"}
"""Of the holdout as well, but they need not change: the same products may still be inside their intervals."""
OF_PRODUCTS = {"train_alignment_report.json", "train_input_checks.json", "test_alignment_report.json"}
NOT_REPRODUCIBLE = ".cbm"
"""CatBoost writes when it was trained into its models."""
FINAL = re.compile(r"06_models/(\w+/final/|ensemble_final/)|07_model_output/\w+/(test_out|price_intervals)\.csv")
"""Final fits, and what they say of new products."""
DIGEST = ".sha256"
"""Beside files; the files themselves are compared."""


@pytest.fixture(scope="module")
def both(sample_project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Two runs of everything: one with the prices as they are, one with others for the holdout."""
    home = tmp_path_factory.mktemp("honesty")
    before = sample_project.fresh_copy(home / "before")
    (before.path / "conf/local").mkdir(exist_ok=True)
    (before.path / "conf/local/parameters.yml").write_text(yaml.safe_dump(PARAMETERS))
    before.kedro("run", "--pipelines", "ingest,split")
    after = before.fresh_copy(home / "after")

    path = after.path / "data/03_primary/train_samples.parquet"
    samples = pd.read_parquet(path)
    held_out = (
        pd.read_parquet(after.path / "data/05_model_input/split_table.parquet")["split"] == "holdout"
    ).to_numpy()
    assert held_out.sum() > 40
    samples.assign(price=samples["price"].mask(held_out, samples["price"] * 3 + 7)).to_parquet(path)
    path.with_name(f".{path.name}.sha256").unlink()  # changed on purpose

    for project in (before, after):
        project.kedro("run", "--pipelines", PIPELINES, "--tags", AFTER_SPLITTING)
    return before, after


def written(project: Project, *folders: str) -> dict[str, Path]:
    """All files below folders of the data, by their path in it."""
    data = project.path / "data"
    return {
        str(path.relative_to(data)): path
        for folder in folders
        for path in sorted((data / folder).rglob("*"))
        if path.is_file() and path.suffix not in (NOT_REPRODUCIBLE, DIGEST)
    }


def untimed(contents: Any) -> Any:
    """JSON without how long things took, and without digests of what is not reproducible."""
    if isinstance(contents, list):
        return [untimed(one) for one in contents]
    if not isinstance(contents, dict):
        return contents
    if any(name.endswith(NOT_REPRODUCIBLE) and "/" in name for name in contents):
        return None  # digests of one model's files
    if contents.get("kind") == "catboost":
        contents.pop("sha256", None)
    return {
        key: untimed(value)
        for key, value in contents.items()
        if key not in ("seconds", "contents_sha256") and "catboost-" not in key
    }


def comparable(path: Path) -> object:
    """The contents of a file, as far as two runs may be compared by it."""
    if path.name in ("state.bin", "state.previous.bin"):
        return None  # holds the history, with its seconds; no model is made of it unless a training is resumed
    return untimed(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()


def test_models_and_what_they_say_of_other_rows_are_the_same_to_the_byte(both: tuple[Project, Project]) -> None:
    before, after = (written(project, "06_models", "07_model_output") for project in both)
    assert list(before) == list(after)
    compared = {name for name in before if not FINAL.match(name)}
    different = [name for name in compared if comparable(before[name]) != comparable(after[name])]
    assert different == []

    # All that it is about is among them.
    for name in (
        "06_models/moe/checkpoint.safetensors",
        "06_models/two_branch/checkpoint.safetensors",
        "06_models/ensemble/calibration.safetensors",
        "06_models/ensemble/manifest.json",
        *(f"07_model_output/{member}/out_of_fold.parquet" for member in ("moe", *MEMBERS)),
        *(
            f"06_models/{name}/folds/fold-{fold}-seed-41.safetensors"
            for name in ("moe", "two_branch")
            for fold in range(FOLDS)
        ),
        *(f"06_models/ridge/folds/fold-{fold}/weights.safetensors" for fold in range(FOLDS)),
    ):
        assert name in compared


def test_final_fits_have_seen_all_rows_and_keep_the_calibration(both: tuple[Project, Project]) -> None:
    before, after = (written(project, "06_models", "07_model_output") for project in both)
    for name in (
        "06_models/two_branch/final/checkpoint.safetensors",
        "06_models/ensemble_final/manifest.json",
        "07_model_output/two_branch/test_out.csv",
        "07_model_output/ensemble/test_out.csv",
    ):
        assert before[name].read_bytes() != after[name].read_bytes(), name
    for project in both:
        models = project.path / "data/06_models"
        evaluated, final = (
            load_checkpoint(models / f"two_branch/{name}checkpoint.safetensors") for name in ("", "final/")
        )
        assert evaluated.calibration is not None
        assert final.calibration is not None
        np.testing.assert_array_equal(final.calibration.residuals, evaluated.calibration.residuals)
        calibrations = {
            (models / name / "calibration.safetensors").read_bytes() for name in ("ensemble", "ensemble_final")
        }
        assert len(calibrations) == 1


def test_out_of_fold_figures_are_the_same(both: tuple[Project, Project]) -> None:
    for name in ("out_of_fold_metrics.json", "metrics_by_fold.csv"):
        before, after = ((project.path / "data/08_reporting/moe" / name).read_bytes() for project in both)
        assert before == after


def test_evaluations_are_of_the_changed_prices(both: tuple[Project, Project]) -> None:
    before, after = (written(project, "08_reporting/ensemble", "08_reporting/two_branch") for project in both)
    assert {Path(name).name for name in before} == ON_THE_HOLDOUT | ALSO_ON_THE_HOLDOUT | OF_PRODUCTS
    for name, path in before.items():
        if path.name in ON_THE_HOLDOUT:
            assert path.read_bytes() != after[name].read_bytes(), name
    one, other = (pd.read_csv(files["08_reporting/ensemble/evaluation_results.csv"]) for files in (before, after))
    pd.testing.assert_series_equal(other["price"], one["price"] * 3 + 7)
    predicted = ["sample_id", "predicted", "price_low", "price_high"]
    pd.testing.assert_frame_equal(one[predicted], other[predicted], check_exact=True)


def test_catboost_says_the_same(both: tuple[Project, Project]) -> None:
    if "catboost" not in BOOSTED:
        pytest.skip("catboost is not installed")
    paths = [project.path / "data/07_model_output/catboost/out_of_fold.parquet" for project in both]
    before, after = map(pd.read_parquet, paths)
    pd.testing.assert_frame_equal(before, after, check_exact=True)
