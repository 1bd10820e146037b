"""``kedro run`` with ``compute.partitions``: the same commands, the same prices, on processes of this machine and on Ray."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from price_fusion.models.checkpoint import load_checkpoint
from price_fusion.storage.partitions.parts import FORMAT_VERSION
from support.cluster import object_store
from support.projects import FEW, SHORT, Project

__all__ = ["object_store"]
"""A fixture that is defined elsewhere."""

PARTITIONS = "data/03_primary/partitions"
LOCAL = f"{SHORT},compute.partitions=3,compute.workers=1"
PRICES = "data/07_model_output/moe/test_out.csv"


@pytest.fixture(scope="module")
def partitioned_project(trained_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which ``moe`` ran in partitions. Not to be changed: copy it."""
    project = trained_project.fresh_copy(tmp_path_factory.mktemp("partitioned") / "project")
    for made in ("02_intermediate", "03_primary", "05_model_input", "06_models", "07_model_output", "08_reporting"):
        shutil.rmtree(project.path / "data" / made, ignore_errors=True)
    project.kedro("run", "--params", LOCAL)
    return project


def parts(project: Project, table: str) -> dict[str, bytes]:
    """Contents of all files of a table in partitions, by name."""
    folder = project.path / PARTITIONS / table
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("partition=*/*"))}


def rows(project: Project, table: str) -> pd.DataFrame:
    files = sorted((project.path / PARTITIONS / table).glob("partition=*/*"))
    return pd.concat(pq.ParquetFile(path).read().to_pandas() for path in files).sort_values("row")


def test_submission_has_each_product_in_the_order_of_test_csv(partitioned_project: Project) -> None:
    submission = pd.read_csv(partitioned_project.path / PRICES)
    wanted = pd.read_csv(partitioned_project.path / "data/01_raw/dataset/test.csv")
    assert list(submission.columns) == ["sample_id", "price"]
    assert submission["sample_id"].tolist() == wanted["sample_id"].tolist()
    assert (submission["price"] > 0).all()
    beside = pd.read_csv(partitioned_project.path / PRICES.replace("test_out", "price_intervals"))
    assert beside["sample_id"].tolist() == wanted["sample_id"].tolist()
    assert set(beside["unit"].dropna()) == {"100 g", "100 ml", "piece"}
    assert (beside["unit"].isna() == beside["unit_price"].isna()).all()


def tensors(path: Path) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in load_file(path).items()}


def test_with_all_rows_in_memory_everything_is_as_without_partitions(
    partitioned_project: Project, trained_project: Project
) -> None:
    alone, other = trained_project.path / "data", partitioned_project.path / "data"
    for name in ("05_model_input/split_table", "03_primary/train_samples"):
        pd.testing.assert_frame_equal(*(pd.read_parquet(folder / f"{name}.parquet") for folder in (alone, other)))
    for name in ("checkpoint.safetensors", "final/checkpoint.safetensors"):
        one, two = (tensors(folder / "06_models/moe" / name) for folder in (alone, other))
        assert one == two
    headers = [load_checkpoint(folder / "06_models/moe/checkpoint.safetensors").header for folder in (alone, other)]
    assert headers[0].data == headers[1].data
    same = (
        "metrics.json",
        "evaluation_results.csv",
        "metrics_by_price.csv",
        "interval_coverage.csv",
        "gate_report.json",
    )
    for name in (*(f"08_reporting/moe/{one}" for one in same), "08_reporting/split_report.json"):
        assert (alone / name).read_bytes() == (other / name).read_bytes(), name
    for name in ("test_out.csv", "price_intervals.csv"):
        one, two = (pd.read_csv(folder / "07_model_output/moe" / name) for folder in (alone, other))
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert "# Model card: moe" in (other / "06_models/moe/model_card.md").read_text()


def test_of_more_rows_than_are_in_memory_a_sample_is_compared_and_says_so(
    partitioned_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(partitioned_project)
    (project.path / "conf/local").mkdir(exist_ok=True)
    (project.path / "conf/local/parameters.yml").write_text("variants: [two_branch, moe]\n")
    few = f"{LOCAL},{FEW},compute.rows_in_memory=150"
    project.kedro("run", "--pipelines", "compare", "--params", few)
    project.kedro("run", "--pipelines", "predict_moe", "--params", few)
    reporting = project.path / "data/08_reporting"
    board = json.loads((reporting / "leaderboard.json").read_text())
    assert (board["rows_in_memory"], board["labelled_rows"]) == (150, 300)
    said = "Figures are of a random sample: 150 of 300 labelled products"
    for page in (reporting / "report.html", reporting / "moe/report.html"):
        assert said in page.read_text()
    assert said in (project.path / "data/06_models/moe/model_card.md").read_text()
    assert len(pd.read_csv(reporting / "moe/evaluation_results.csv")) == board["rows"] < 45
    final = load_checkpoint(project.path / "data/06_models/moe/final/checkpoint.safetensors").header
    assert final.training is not None
    assert final.training.rows == 300  # streamed


def test_missing_files_are_made_again_and_nothing_else(
    partitioned_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(partitioned_project)
    before = parts(project, "priced/moe")
    name, times = next(iter(before)), {}
    for path in (project.path / PARTITIONS).rglob("*.parquet"):
        times[path] = path.stat().st_mtime_ns
    (project.path / PARTITIONS / "priced/moe" / name).unlink()
    project.kedro("run", "--params", LOCAL, "--only-missing-outputs")
    assert parts(project, "priced/moe") == before
    made = {
        path.relative_to(project.path / PARTITIONS).as_posix()
        for path, time in times.items()
        if path.stat().st_mtime_ns != time
    }
    assert made == {f"priced/moe/{name}"}


def test_runs_with_and_without_partitions_go_on_from_each_other(
    partitioned_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(partitioned_project)
    raw, before = project.path / "data/01_raw/dataset", (project.path / PRICES).read_bytes()
    mean = pd.read_csv(project.path / PRICES)["price"].mean()
    in_memory = project.kedro("run", "--params", SHORT, "--only-missing-outputs")
    said = in_memory.stdout + in_memory.stderr
    assert "moe.train:" not in said
    assert "moe.fit_final:" not in said
    assert "nothing says" not in said
    assert (project.path / PRICES).read_bytes() == before
    for name in ("chosen/moe/test", "priced/moe"):
        shutil.rmtree(project.path / PARTITIONS / name)
    pd.read_csv(raw / "test.csv").head(40)[::-1].to_csv(raw / "test.csv", index=False)
    other = project.kedro("run", "--params", LOCAL, "--only-missing-outputs")
    assert "moe.train:" not in other.stdout + other.stderr
    assert "test_products (test.csv) has changed" in other.stdout + other.stderr
    for file in (PRICES, PRICES.replace("test_out", "price_intervals")):
        assert (
            pd.read_csv(project.path / file)["sample_id"].tolist() == rows(project, "priced/moe")["sample_id"].tolist()
        )
        assert len(pd.read_csv(project.path / file)) == 40
    dearer = pd.read_csv(raw / "train.csv")
    dearer.assign(price=dearer["price"] * 10).to_csv(raw / "train.csv", index=False)
    again = project.kedro("run", "--params", SHORT, "--only-missing-outputs")
    assert "train_products (train.csv) has changed" in again.stdout + again.stderr
    assert "moe.train:" in again.stdout + again.stderr
    assert pd.read_csv(project.path / PRICES)["price"].mean() > 3 * mean


def test_other_raw_files_of_the_same_size_and_time_are_priced(
    partitioned_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(partitioned_project)
    vectors = next((project.path / "data/01_raw/embeddings/clip/test").glob("*embeddings*.npy"))
    products = project.path / "data/01_raw/dataset/test.csv"
    predict = ("run", "--pipelines", "predict_moe", "--params", f"{LOCAL},final_fit=false")
    project.kedro(*predict)
    found = [pd.read_csv(project.path / PRICES)["price"].tolist()]
    for path, change in ((vectors, _reverse_rows), (products, _ounces_to_pounds)):
        before = path.stat()
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        project.kedro(*predict)
        found.append(pd.read_csv(project.path / PRICES)["price"].tolist())
    assert found[0] != found[1] != found[2]


def _reverse_rows(path: Path) -> None:
    np.save(path, np.load(path)[::-1].copy())


def _ounces_to_pounds(path: Path) -> None:
    text = path.read_text()
    assert "Ounce" in text
    path.write_text(text.replace("Ounce", "Pound"))


def test_new_embeddings_are_noticed_by_what_reads_them_through_the_products_of_a_model(
    partitioned_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(partitioned_project)
    path = next((project.path / "data/01_raw/embeddings/clip/test").glob("*embeddings*.npy"))
    np.save(path, np.roll(np.load(path), 1, axis=0))
    changed = ("tables/clip_image/test", "priced/moe")
    kept = ("tables/clip_image/train", "tables/qwen_text/test", "chosen/moe/train")
    before = {table: parts(project, table) for table in (*changed, *kept)}
    models = {path: path.stat().st_mtime_ns for path in (project.path / "data/06_models").rglob("*.safetensors")}
    project.kedro("run", "--params", LOCAL, "--only-missing-outputs")
    same = {table for table in before if parts(project, table) == before[table]}
    assert same == set(kept)
    assert {path: path.stat().st_mtime_ns for path in models} == models


@pytest.mark.slow
def test_ray_gives_the_same_bytes(partitioned_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(partitioned_project)
    tables = ("chosen/moe/train", "chosen/moe/test", "priced/moe", "tables/quantity/train")
    before = {table: parts(project, table) for table in tables}
    submission = (project.path / PRICES).read_bytes()
    for table in tables:
        shutil.rmtree(project.path / PARTITIONS / table)
    (project.path / PRICES).unlink()
    on_ray = f"{SHORT},compute.partitions=3,compute.workers=2"
    project.kedro("run", "--env", "ray", "--pipelines", "ingest,evaluate_moe,predict_moe", "--params", on_ray)
    assert {table: parts(project, table) for table in tables} == before
    assert (project.path / PRICES).read_bytes() == submission


def test_ray_without_partitions_is_refused(sample_project: Project) -> None:
    refused = sample_project.kedro("run", "--params", "compute.executor=ray", fails=True)
    assert "Set compute.partitions" in refused.stderr


def test_a_partition_of_another_version_is_refused(
    partitioned_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(partitioned_project)
    manifest: Path = project.path / PARTITIONS / "chosen/moe/test/_manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"format_version": {FORMAT_VERSION}', '"format_version": 1'))
    refused = project.kedro(
        "run", "--pipelines", "predict_moe", "--from-nodes", "moe.price_products", "--params", LOCAL, fails=True
    )
    assert f"table in partitions of format 1; this program reads format {FORMAT_VERSION}" in refused.stderr


@pytest.mark.slow
def test_partitions_may_be_in_an_object_store(
    partitioned_project: Project, copy_of: Callable[[Project], Project], object_store: str
) -> None:
    project = copy_of(partitioned_project)
    before = (project.path / PRICES).read_bytes()
    shutil.rmtree(project.path / PARTITIONS)
    (project.path / "conf/store").mkdir()
    (project.path / "conf/store/globals.yml").write_text(f"partitions: {object_store}/shop\n")
    # fsspec reads its settings as it is imported: no fork of a process that has done so.
    project.kedro("run", "--env", "store", "--params", LOCAL, warm=False)
    assert (project.path / PRICES).read_bytes() == before
    assert not (project.path / PARTITIONS).exists()
    again = project.kedro("run", "--env", "store", "--params", LOCAL, "--only-missing-outputs", warm=False)
    assert "moe.train" not in again.stdout
    closed = {"FSSPEC_S3_ENDPOINT_URL": "http://127.0.0.1:9"}
    refused = project.kedro(
        "run",
        "--env",
        "store",
        "--pipelines",
        "predict_moe",
        "--params",
        LOCAL,
        environment=closed,
        fails=True,
        warm=False,
    )
    assert "(EndpointConnectionError" in refused.stderr
    assert "FSSPEC_S3_ENDPOINT_URL" in refused.stderr


@pytest.mark.slow
def test_several_processes_train_one_model(partitioned_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(partitioned_project)
    ran = project.kedro("run", "--pipelines", "train_moe", "--params", f"{LOCAL},compute.training_processes=2")
    history = json.loads((project.path / "data/06_models/moe/training_history.json").read_text())
    assert [record["epoch"] for record in history] == [1, 2]
    assert "moe epoch 1/2: loss" in ran.stdout + ran.stderr
