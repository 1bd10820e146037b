"""Variants: those of conf/base, one that a user adds in YAML alone, and the reference's preset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from price_fusion import Predictor
from price_fusion.configuration.loader import ProjectConfigLoader
from price_fusion.models.checkpoint import read_header
from price_fusion.settings import CONFIG_LOADER_ARGS
from support.projects import SHORT, VARIANTS, Project

TINY = {
    "tiny": {
        "sources": ["qwen_text", "clip_image", "siglip_text"],
        "model": {
            "branch": {"width": 16},
            "fusion": {"kind": "hierarchical", "heads": 4},
            "head": {"kind": "mixture", "experts": 2, "hidden": [8], "gate_hidden": 0},
        },
        "train": {"epochs": 2},
    },
    "variants": ["tiny"],
}


def add_environment(project: Project, name: str, parameters: dict[str, Any]) -> None:
    folder = project.path / "conf" / name
    folder.mkdir()
    (folder / "parameters.yml").write_text(yaml.safe_dump(parameters))


@pytest.fixture
def project(sample_project: Project, copy_of: Callable[[Project], Project]) -> Project:
    return copy_of(sample_project)


def test_hierarchical_runs_from_raw_files_and_shows_its_size_and_its_gate(project: Project) -> None:
    printed = project.kedro("run", "--pipelines", "hierarchical", "--params", SHORT).stdout
    header = read_header(project.path / "data/06_models/hierarchical/checkpoint.safetensors")
    assert list(header.sources) == ["clip_image", "siglip_image", "siglip_text", "qwen_text", "quantity"]
    counts = header.parameter_counts
    assert list(counts) == [*(f"branches.{name}" for name in header.sources), "fusion", "head", "total"]
    assert f"{counts['total']:,}" in printed
    assert "13,464,070" in printed  # the reference's
    report = json.loads((project.path / "data/08_reporting/hierarchical/gate_report.json").read_text())
    metrics = json.loads((project.path / "data/08_reporting/hierarchical/metrics.json").read_text())
    assert (report["experts"], report["split"], report["rows"]) == (3, metrics["split"], metrics["rows"])
    assert sum(report["mean_weights"]) == pytest.approx(1, abs=1e-5)
    assert sum(part["rows"] for part in report["by_price"]) == report["rows"]
    assert "Mean gate weights of hierarchical" in printed


def test_a_variant_without_a_gate_says_so(project: Project) -> None:
    printed = project.kedro("run", "--pipelines", "four_branch", "--params", SHORT).stdout
    report = json.loads((project.path / "data/08_reporting/four_branch/gate_report.json").read_text())
    assert report["experts"] == 0
    assert "Mean gate weights" not in printed


def test_a_variant_is_added_in_yaml_alone(project: Project) -> None:
    add_environment(project, "mine", TINY)
    listed = project.kedro("registry", "list", environment={"KEDRO_ENV": "mine"}).stdout
    assert "train_tiny" in listed
    assert "train_moe" not in listed
    printed = project.kedro("run", "--env", "mine").stdout
    assert "reference" not in printed.split("Parameters of tiny")[1].split("total")[0]
    submission = pd.read_csv(project.path / "data/07_model_output/tiny/test_out.csv")
    assert len(submission) == 60
    predictor = Predictor.load(project.path / "data/06_models/tiny/checkpoint.safetensors")
    assert predictor.widths == {"qwen_text": 1027, "clip_image": 768, "siglip_text": 1024}
    assert not (project.path / "data/03_primary/tables/siglip_image").exists()


def test_a_variant_needs_the_files_of_its_own_sources_alone(project: Project) -> None:
    shutil.rmtree(project.path / "data/01_raw/embeddings/siglip")
    project.kedro("run", "--params", SHORT)
    chosen, everything = (
        pd.read_parquet(project.path / "data" / name / "train_samples.parquet")
        for name in ("05_model_input/moe", "03_primary")
    )
    pd.testing.assert_frame_equal(chosen, everything)

    refused = project.kedro("run", "--pipelines", "compare", fails=True)
    assert "embeddings/siglip/train: found no such file" in refused.stderr
    assert "embeddings/siglip/test" not in refused.stderr
    assert "Running node" not in refused.stdout

    shutil.rmtree(project.path / "data/05_model_input/moe")
    project.kedro("run", "--pipelines", "evaluate_moe")
    shutil.rmtree(project.path / "data/03_primary")
    lacking = project.kedro("run", "--pipelines", "evaluate_moe", fails=True)
    assert "kedro run --pipelines train_moe" in lacking.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sources": ["qwen_text", "clip_imag"]}, ["tiny.sources: 'clip_imag'", "did you mean 'clip_image'?"]),
        ({"sources": ["qwen_text"]}, ["tiny: ", "'hierarchical' needs at least two sources"]),
        ({"model": {"branch": {"width": 18}}}, ["tiny.model", "heads 4 does not divide branch.width 18"]),
        ({"model": {"fusion": {"kind": "hierarchic"}}}, ["tiny.model.fusion", "'hierarchic'", "'hierarchical'"]),
    ],
)
def test_a_wrong_composition_is_refused_by_name(project: Project, change: dict[str, Any], expected: list[str]) -> None:
    tiny = TINY["tiny"]
    assert isinstance(tiny, dict)
    model = {**tiny["model"], **change.get("model", {})}
    if set(change) == {"model"} and "branch" not in change["model"]:
        model["fusion"] = change["model"]["fusion"]
    add_environment(project, "mine", TINY | {"tiny": tiny | change | {"model": model}})
    result = project.kedro("run", "--env", "mine", fails=True)
    assert "Running node" not in result.stdout
    for words in expected:
        assert words in result.stderr


REFERENCE = {
    "loss": "weighted_smape", "epochs": 1000, "batch_size": 256, "learning_rate": 1e-3, "betas": [0.9, 0.999],
    "weight_decay": 1e-4, "gradient_clip": 1.0, "schedule": "plateau", "keep": "best", "plateau_patience": 3, "plateau_factor": 0.5,
    "min_learning_rate": 1e-6, "early_stopping_patience": 15, "ema_decay": 0, "source_dropout": 0, "warmup_epochs": 0,
}  # fmt: skip


REFERENCE_SOURCES = {
    "two_branch": ["clip_image", "qwen_text"],
    "moe": ["clip_image", "qwen_text"],
    "four_branch": ["clip_image", "siglip_image", "siglip_text", "qwen_text"],
    "hierarchical": ["clip_image", "siglip_image", "siglip_text", "qwen_text"],
}


def load_parameters(project: Project, environment: str) -> dict[str, Any]:
    # The project's own arguments: a resolver, once registered, stays for the whole process.
    loader = ProjectConfigLoader(str(project.path / "conf"), env=environment, **CONFIG_LOADER_ARGS)
    parameters: dict[str, Any] = loader["parameters"]
    return parameters


def test_the_reference_preset_is_the_references(sample_project: Project) -> None:
    preset, base = (load_parameters(sample_project, name) for name in ("reference", "base"))
    assert preset["splitting"]["proportions"] == "80/20/0"
    for variant in VARIANTS:
        assert preset[variant]["train"].items() >= REFERENCE.items()
        composed = yaml.safe_load((sample_project.path / "conf/reference/parameters.yml").read_text())[variant]["model"]
        assert preset[variant]["model"] == composed  # nothing of conf/base is left in it
        assert preset[variant]["sources"] == REFERENCE_SOURCES[variant]
        assert base[variant]["sources"] == [*REFERENCE_SOURCES[variant], "quantity"]
        assert preset[variant]["model"]["head"]["dropout"] == 0.25


def test_the_reference_preset_keeps_its_data_apart(project: Project) -> None:
    project.kedro("run", "--env", "reference", "--pipelines", "split")
    split = pd.read_parquet(project.path / "data/reference/05_model_input/split_table.parquet")["split"]
    assert split.value_counts(normalize=True).round(1).to_dict() == {"train": 0.8, "validation": 0.2}
    assert not (project.path / "data/05_model_input").exists()


def test_the_reference_preset_combines_with_another_environment(project: Project) -> None:
    conf = project.path / "conf"
    add_environment(project, "mine", {"moe": {"sources": ["clip_image", "siglip_text"]}})
    shutil.copy(conf / "reference/parameters.yml", conf / "mine/parameters_reference.yml")
    both = load_parameters(project, "mine")
    assert both["moe"]["sources"] == ["clip_image", "siglip_text"]
    assert both["moe"]["train"].items() >= REFERENCE.items()
    assert both["splitting"]["proportions"] == "80/20/0"


def test_the_amazon_subset_combines_with_the_reference_preset(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OmegaConf keeps resolvers for the whole process: another test may have brought the project's own.
    monkeypatch.setenv("PRICE_FUSION_RAW", "raw")
    conf: Path = project.path / "conf"
    shutil.copy(conf / "reference/parameters.yml", conf / "amazon_subset/parameters_reference.yml")
    both = load_parameters(project, "amazon_subset")
    for variant in ("four_branch", "hierarchical"):
        assert both[variant]["sources"] == ["minilm_title", "minilm_full", "word_svd", "char_svd", "quantity"]
        assert both[variant]["train"]["loss"] == "weighted_smape"
    assert {both["sources"][name]["group"] for name in both["hierarchical"]["sources"]} == {
        "title",
        "full",
        "quantity",
    }
