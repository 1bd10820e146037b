"""Real products, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from price_fusion.models.checkpoint import read_header
from support.projects import REPOSITORY, Project, make_project

RAW = Path(os.environ.get("PRICE_FUSION_RAW", REPOSITORY.parent / "shared/data/amazon_ml_2025"))


@pytest.mark.skipif(not (RAW / "dataset/train.csv").exists(), reason="the real products are not on this machine")
def test_real_products_end_in_a_submission(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.kedro(
        "run", "--env", "amazon_subset", "--pipelines", "moe", "--params", "moe.train.epochs=3",
        environment={"PRICE_FUSION_RAW": str(RAW)},
    )  # fmt: skip
    data = project.path / "data/amazon_subset"
    submission = pd.read_csv(data / "07_model_output/moe/test_out.csv")
    assert submission["sample_id"].tolist() == pd.read_csv(RAW / "dataset/test.csv")["sample_id"].tolist()
    assert len(submission) == 2160
    results = pd.read_csv(data / "08_reporting/moe/evaluation_results.csv")
    assert results["smape"].mean() < 70  # the median price scores 72.5


@pytest.mark.skipif(not (RAW / "dataset/train.csv").exists(), reason="the real products are not on this machine")
def test_four_branch_variants_fuse_all_sources_of_the_real_products(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    settings = ("train.epochs=1", "model.branch.width=64", "model.head.hidden=[64]")
    project.kedro(
        "run", "--env", "amazon_subset", "--pipelines", "train_hierarchical",
        "--params", ",".join(f"hierarchical.{setting}" for setting in settings),
        environment={"PRICE_FUSION_RAW": str(RAW)},
    )  # fmt: skip
    header = read_header(project.path / "data/amazon_subset/06_models/hierarchical/checkpoint.safetensors")
    groups = {name: source.group for name, source in header.sources.items()}
    embeddings = {"minilm_title": "title", "minilm_full": "full", "word_svd": "full", "char_svd": "full"}
    assert groups == embeddings | {"quantity": "quantity"}


def test_without_the_folder_the_message_says_what_to_set(sample_project: Project) -> None:
    result = sample_project.kedro("run", "--env", "amazon_subset", environment={"PRICE_FUSION_RAW": ""}, fails=True)
    assert "PRICE_FUSION_RAW is not set" in result.stderr
    assert "export PRICE_FUSION_RAW=" in result.stderr
