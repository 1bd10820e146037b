"""``ablate_<variant>`` through the real command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import yaml

from support.projects import SHORT, Project

PARAMETERS = {
    "variants": ["moe"],
    "splitting": {"folds": 2},
    "comparison": {"resamples": 200},
    "ablation": {"permutations": 1},
    "sources": {"siglip_text": {"group": "text"}},
    "moe": {"sources": ["clip_image", "siglip_text", "qwen_text"]},
}


def test_ablation_gives_tables_a_picture_and_models_that_are_not_trained_again(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    (project.path / "conf/mine").mkdir()
    (project.path / "conf/mine/parameters.yml").write_text(yaml.safe_dump(PARAMETERS))
    run = ("run", "--env", "mine", "--pipelines", "ablate_moe", "--params", SHORT)
    printed = project.kedro(*run).stdout
    assert "Sources of moe by permutation: rise of SMAPE" in printed
    assert "Sources of moe by retraining: rise of SMAPE" in printed

    reports, models = project.path / "data/08_reporting/moe", project.path / "data/06_models/moe/ablation"
    permutation = pd.read_csv(reports / "permutation_importance.csv")
    columns = [f"qwen_text: structural {number}" for number in (1, 2, 3)]
    assert set(permutation["part"]) == {"clip_image", "siglip_text", "qwen_text", *columns}
    assert set(permutation["split"]) == {"holdout"}
    assert (
        permutation["importance_points"]
        .between(permutation["importance_points_low"], permutation["importance_points_high"])
        .all()
    )

    retraining = pd.read_csv(reports / "retraining_importance.csv").set_index("part")
    assert set(retraining.index) == {"clip_image", "siglip_text", "qwen_text", "group text"}
    assert retraining.index[-1] == "group text"
    assert "fusion 'attention' needs at least two sources" in retraining.loc["group text", "skipped"]
    assert retraining["skipped"].iloc[:-1].isna().all()
    split = pd.read_parquet(project.path / "data/05_model_input/split_table.parquet")
    assert set(retraining["rows"].dropna()) == {(split["fold"] >= 0).sum()}
    assert {bar["name"] for bar in json.loads((reports / "figures/ablation.json").read_text())["data"]} == {
        "permuted",
        "left out",
    }

    manifests = sorted(models.rglob("manifest.json"))
    assert {str(path.parent.relative_to(models)) for path in manifests} == {
        "whole",
        *(f"without_source/{name}" for name in ("clip_image", "siglip_text", "qwen_text")),
    }
    assert all(len(json.loads(path.read_text())["models"]) == 2 for path in manifests)
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*.safetensors")}
    (reports / "retraining_importance.csv").unlink()
    again = project.kedro(*run, "--only-missing-outputs").stdout
    assert "Running 2 out of" in again  # retraining and the figure
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*.safetensors")} == before
    pd.testing.assert_frame_equal(pd.read_csv(reports / "retraining_importance.csv").set_index("part"), retraining)
