"""The commands that users type, through the real command line and the real catalog."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from price_fusion import Predictor
from price_fusion.data.products import read_products
from price_fusion.data.readers.embedding_files import read_embeddings
from price_fusion.parameters import ESTIMATOR_KINDS
from support.projects import FEW, REPOSITORY, SHORT, TIMEOUT, VARIABLES, VARIANTS, Project

BASELINES = ("lightgbm", "catboost", "neighbours", "kernel_ridge", "ridge", "median")


def test_default_run_prices_each_product_of_test_csv_in_its_order(trained_project: Project) -> None:
    data = trained_project.path / "data"
    submission = pd.read_csv(data / "07_model_output/moe/test_out.csv")
    wanted = pd.read_csv(data / "01_raw/dataset/test.csv")
    assert list(submission.columns) == ["sample_id", "price"]
    assert submission["sample_id"].tolist() == wanted["sample_id"].tolist()
    assert np.isfinite(submission["price"]).all()
    assert (submission["price"] > 0).all()


def test_evaluation_is_of_holdout_rows_only(trained_project: Project) -> None:
    data = trained_project.path / "data"
    split = pd.read_parquet(data / "05_model_input/split_table.parquet").set_index("sample_id")["split"]
    results = pd.read_csv(data / "08_reporting/moe/evaluation_results.csv")
    metrics = json.loads((data / "08_reporting/moe/metrics.json").read_text())
    assert set(split[results["sample_id"]]) == {"holdout"}
    assert metrics["split"] == "holdout"
    assert metrics["rows"] == len(results) == (split == "holdout").sum()
    assert metrics["smape"] == pytest.approx(results["smape"].mean())
    assert metrics["by_tuning"]["seen"] == {"rows": 0, "smape": None}
    extremes = pd.read_csv(data / "08_reporting/moe/best_and_worst.csv")
    assert extremes["extreme"].value_counts().to_dict() == {"best": 20, "worst": 20}


def test_predictor_gives_the_numbers_of_the_pipeline_alone_and_in_batches(trained_project: Project) -> None:
    data = trained_project.path / "data"
    predictor = Predictor.load(data / "06_models/moe/final/checkpoint.safetensors")
    clip = read_embeddings(data / "01_raw/embeddings/clip/test", "npy")
    qwen = read_embeddings(data / "01_raw/embeddings/qwen/qwen3_embeddings_test.pkl", "pickle")
    both = [number for number in clip.ids if number in set(qwen.ids)]
    clip_rows = pd.Series(range(len(clip.ids)), index=clip.ids)[both].to_numpy()
    qwen_rows = pd.Series(range(len(qwen.ids)), index=qwen.ids)[both].to_numpy()
    arrays = {"clip_image": clip.vectors[clip_rows], "qwen_text": qwen.vectors[qwen_rows]}
    products = read_products(data / "01_raw/dataset/test.csv", labelled=False).set_index("sample_id").loc[both]
    submission = pd.read_csv(data / "07_model_output/moe/test_out.csv").set_index("sample_id")["price"]

    def some(rows: slice) -> np.ndarray:
        return predictor.predict({name: array[rows] for name, array in arrays.items()}, products.iloc[rows])

    together = predictor.predict(arrays, products)
    alone = [some(slice(row, row + 1))[0] for row in range(len(both))]
    sevens = np.concatenate([some(slice(start, start + 7)) for start in range(0, len(both), 7)])
    for prices in (together, alone, sevens):
        np.testing.assert_allclose(prices, submission[both], rtol=1e-4)
    assert predictor.widths == {"clip_image": 768, "qwen_text": 1027}
    assert predictor.columns == {"quantity": ("catalog_content",)}


def test_only_missing_outputs_runs_what_is_missing(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    again = project.kedro("run", "--only-missing-outputs", "--params", SHORT)
    assert "Skipping all" in again.stdout
    (project.path / "data/07_model_output/moe/test_out.csv").unlink()
    third = project.kedro("run", "--only-missing-outputs", "--params", SHORT)
    assert "Running 1 out of" in third.stdout
    assert (project.path / "data/07_model_output/moe/test_out.csv").exists()


def test_deprecated_pipeline_option_trains_from_raw_files(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    project.kedro("run", "--pipeline", "train_two_branch", "--params", SHORT)
    assert (project.path / "data/06_models/two_branch/checkpoint.safetensors").exists()
    assert not (project.path / "data/07_model_output").exists()


def test_nodes_tags_and_single_stages_run_on_what_is_there(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    metrics = project.path / "data/08_reporting/moe/metrics.json"
    before = metrics.read_bytes()
    for arguments in (
        ["--pipelines", "evaluate_moe"],
        ["--from-nodes", "moe.predict_evaluated"],
        ["--pipelines", "moe", "--tags", "evaluate"],
    ):
        metrics.unlink()
        project.kedro("run", *arguments)
        assert metrics.read_bytes() == before
    project.kedro("run", "--pipelines", "predict_moe")


def test_compare_ranks_variants_and_baselines_on_the_same_rows(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    printed = project.kedro("run", "--pipelines", "compare", "--params", f"{SHORT},{FEW}").stdout
    leaderboard = pd.read_csv(project.path / "data/08_reporting/leaderboard.csv")
    assert set(leaderboard["model"]) == {*VARIANTS, *BASELINES, "ridge of two_branch's sources"}
    assert leaderboard["smape"].is_monotonic_increasing
    assert leaderboard["rows"].nunique() == leaderboard["split"].nunique() == 1
    assert (leaderboard["smape_low"] < leaderboard["smape"]).all()
    assert (leaderboard["smape"] < leaderboard["smape_high"]).all()
    assert leaderboard.loc[0, ["behind_best", "behind_best_low", "behind_best_high"]].tolist() == [0, 0, 0]
    trained = leaderboard.set_index("model")["parameters"].dropna()
    assert set(trained.index) == set(VARIANTS)
    assert (trained > 0).all()
    document = json.loads((project.path / "data/08_reporting/leaderboard.json").read_text())
    assert [row["model"] for row in document["models"]] == leaderboard["model"].tolist()
    assert document["best"] == leaderboard["model"][0]
    assert f"Leaderboard on {leaderboard['rows'][0]} holdout rows" in printed
    assert f"best: {document['best']}" in " ".join(printed.split())


def test_compare_trains_only_what_is_missing_or_stale(
    compared_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(compared_project)
    models, reports = project.path / "data/06_models", project.path / "data/08_reporting"
    compare = ("run", "--pipelines", "compare", "--only-missing-outputs", "--params")
    leaderboard = reports / "leaderboard.csv"
    made = [models / "moe/checkpoint.safetensors", reports / "moe/evaluation_results.csv", reports / "moe/metrics.json"]
    kept = [models / "two_branch/checkpoint.safetensors", reports / "two_branch/metrics.json"]
    kept.append(reports / "baseline_results.csv")
    before, ranking = {path: path.stat().st_mtime_ns for path in (*made, *kept)}, pd.read_csv(leaderboard)

    page = reports / "report.html"
    written = page.stat().st_mtime_ns
    again = project.kedro(*compare, f"{SHORT},{FEW}").stdout
    assert "Running 5 out of" in again  # two contenders, rank, write_comparison_report, log_verdict
    assert page.stat().st_mtime_ns > written
    assert {path: path.stat().st_mtime_ns for path in before} == before

    made[0].unlink()
    leaderboard.write_text("old")
    project.kedro(*compare, f"{SHORT},{FEW}")
    assert all(path.stat().st_mtime_ns > before[path] for path in made)
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)
    columns = ["model", "smape", "smape_low", "behind_best"]
    pd.testing.assert_frame_equal(pd.read_csv(leaderboard)[columns], ranking[columns])

    before = {path: path.stat().st_mtime_ns for path in before}
    changed = project.kedro(*compare, f"{SHORT},{FEW},moe.model.branch.learned_scale=false").stdout
    assert "moe.model.branch.learned_scaleisfalse,wastrue:moe.checkpoint" in "".join(changed.split())
    assert all(path.stat().st_mtime_ns > before[path] for path in made)
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)


def test_without_a_holdout_evaluation_says_that_it_is_of_validation(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    printed = project.kedro("run", "--params", f"splitting.proportions=80/20/0,{SHORT}").stdout
    assert "there is no holdout" in " ".join(printed.split())
    assert json.loads((project.path / "data/08_reporting/moe/metrics.json").read_text())["split"] == "validation"


def test_same_seed_same_submission(trained_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(trained_project)
    submission = project.path / "data/07_model_output/moe/test_out.csv"
    before = submission.read_bytes()
    project.kedro("run", "--params", SHORT, warm=False)
    assert submission.read_bytes() == before


def test_rows_that_an_encoder_was_tuned_on_go_to_train_and_are_counted(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    ids = pd.read_csv(project.path / "data/01_raw/dataset/train.csv")["sample_id"].head(100)
    ids.to_csv(project.path / "data/01_raw/embeddings/qwen_text_tuned_on_ids.csv", index=False)
    project.kedro("run", "--pipelines", "split", "--params", "sources.qwen_text.tuned_on_ids=true")
    split = pd.read_parquet(project.path / "data/05_model_input/split_table.parquet").set_index("sample_id")
    assert set(split.loc[ids, "split"]) == {"train"}
    report = json.loads((project.path / "data/08_reporting/split_report.json").read_text())
    assert report["tuned_on"] == {"qwen_text": {"ids": 100, "rows": 100}}


def test_registry_and_catalog_can_be_listed(sample_project: Project) -> None:
    names = yaml.safe_load(sample_project.kedro("registry", "list").stdout)
    stages = {
        f"{stage}_{variant}"
        for stage in (
            "train",
            "evaluate",
            "predict",
            "cross_validate",
            "tune",
            "ablate",
            "leak_effect",
            "report",
            "export",
        )
        for variant in VARIANTS
    }
    others = {
        "__default__",
        "fabricate",
        "ingest",
        "split",
        "compare",
        "ensemble",
        "check_leaks",
        "leak_effect_ensemble",
        "report_ensemble",
        *(f"predict_{estimator}" for estimator in ESTIMATOR_KINDS if estimator != "tabicl"),
    }
    assert others | stages | set(VARIANTS) == set(names)
    described = sample_project.kedro("catalog", "describe-datasets", "--pipeline", "moe").stdout
    assert "moe" in yaml.safe_load(described)  # no line of the log is in it
    for name in ("moe.checkpoint", "clip_image.train_embeddings", "qwen_text.train_table", "train_products"):
        assert name in described


def test_resume_goes_on_from_the_last_state_and_refuses_another_run(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    train = ("run", "--pipelines", "train_moe", "--params")
    longer = SHORT.replace("moe.train.epochs=2", "moe.train.epochs=3") + ",moe.train.resume=true"
    other = project.kedro(*train, f"{longer},moe.train.learning_rate=0.5", fails=True).stderr
    assert "train.epochs: was 2, is 3" in other  # the cosine falls over all epochs: with more it is another one
    assert "train.learning_rate: was 0.001, is 0.5" in other
    assert "moe.train.resume=false" in other

    constant = ",moe.train.schedule=constant"
    history = project.path / "data/06_models/moe/training_history.json"
    project.kedro(*train, SHORT + constant)
    before = json.loads(history.read_text())
    project.kedro(*train, longer + constant)
    after = json.loads(history.read_text())
    assert after[:2] == before
    assert [record["epoch"] for record in after] == [1, 2, 3]


def test_installed_package_prices_with_an_archive_of_conf_and_no_project(
    trained_project: Project, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:  # as `kedro package` makes it
        archive.add(REPOSITORY / "conf", "conf", filter=lambda found: None if "/local/" in found.name else found)
    shutil.copytree(trained_project.path / "data", tmp_path / "data", symlinks=True)

    options = ("--conf-source", "conf.tar.gz", "--pipelines")
    submission = tmp_path / "data/07_model_output/moe/test_out.csv"
    before = submission.read_bytes()
    submission.unlink()
    run = subprocess.run(
        [sys.executable, "-m", "price_fusion", *options, "predict_moe"],
        cwd=tmp_path,
        env=os.environ | VARIABLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    assert submission.read_bytes() == before
    with Project(tmp_path).start(*options, "predict_mo", program="price_fusion") as misspelt:
        _, errors = misspelt.communicate(TIMEOUT)
    assert misspelt.returncode == 1
    assert errors.splitlines()[-2].startswith(
        "UsageError: there is no pipeline 'predict_mo'; did you mean 'predict_moe'"
    )


def test_commands_on_a_page_name_the_environment_that_made_it_and_do_not_make_it_stale(
    trained_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(trained_project)
    (project.path / "conf/lamps").mkdir()
    page = project.path / "data/08_reporting/moe/report.html"
    assert "kedro run --pipelines check_leaks does" in page.read_text()
    report = ("--pipelines", "report_moe", "--params", SHORT)
    project.kedro("run", "--env", "lamps", *report)
    made, text = page.stat().st_mtime_ns, page.read_text()
    assert "kedro run --env lamps --pipelines check_leaks does" in text
    assert "kedro run --env lamps --pipelines ablate_moe finds out" in text
    project.kedro("run", *report, "--only-missing-outputs")
    assert page.stat().st_mtime_ns == made


def test_a_leaderboard_says_which_lines_are_of_an_earlier_run(
    compared_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(compared_project)
    reports = project.path / "data/08_reporting"
    page = reports / "report.html"
    assert 'id="notice"' not in page.read_text()
    train = ("run", "--pipelines", "train_moe,evaluate_moe", "--params")
    said = project.kedro(*train, SHORT.replace("moe.train.epochs=2", "moe.train.epochs=3")).stdout
    assert "leaderboard:Stale:figuresofmoearefromanearlierrun" in "".join(said.split())
    stale = pd.read_csv(reports / "leaderboard.csv").set_index("model")["stale"]
    assert stale["moe"] == "stale: made from an earlier run of moe; run: kedro run --pipelines compare"
    assert stale.drop("moe").isna().all()
    assert "Stale: figures of moe are from an earlier run" in page.read_text()
    project.kedro(*train, SHORT)  # the weights of the leaderboard's own run
    assert pd.read_csv(reports / "leaderboard.csv")["stale"].isna().all()
    assert 'id="notice"' not in page.read_text()
