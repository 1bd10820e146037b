"""Each bad input stops a run before training, with a message that names it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.projects import SHORT, Project


def drop_file(raw: Path) -> None:
    (raw / "embeddings/clip/train/image_embeddings.npy").unlink()


def truncate_npy(raw: Path) -> None:
    path = raw / "embeddings/clip/train/image_embeddings.npy"
    path.write_bytes(path.read_bytes()[:-1000])


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch attacked",)


def forbid_pickle(raw: Path) -> None:
    with (raw / "embeddings/qwen/qwen3_embeddings_train.pkl").open("wb") as file:
        pickle.dump({"embeddings": Attack(), "sample_ids": [1]}, file)


def change_clip(raw: Path, change: Callable[[np.ndarray], np.ndarray], name: str = "image_embeddings.npy") -> None:
    path = raw / "embeddings/clip/train" / name
    np.save(path, change(np.load(path)))


def misalign(raw: Path) -> None:
    change_clip(raw, lambda ids: ids + 10_000_000, "sample_ids.npy")


def duplicate(raw: Path) -> None:
    change_clip(raw, lambda ids: np.where(np.arange(len(ids)) == 1, ids[0], ids), "sample_ids.npy")


def narrow(raw: Path) -> None:
    change_clip(raw, lambda vectors: vectors[:, :700])


def widen_test(raw: Path) -> None:
    path = raw / "embeddings/clip/test/image_embeddings.npy"
    vectors = np.load(path)
    np.save(path, np.hstack([vectors, vectors[:, :32]]))


def misalign_test(raw: Path) -> None:
    path = raw / "embeddings/clip/test/sample_ids.npy"
    np.save(path, np.load(path) + 10_000_000)


def put_nan(raw: Path) -> None:
    def change(vectors: np.ndarray) -> np.ndarray:
        vectors[5, 7] = np.nan
        return vectors

    change_clip(raw, change)


def set_price(raw: Path, price: str) -> None:
    path = raw / "dataset/train.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[3, "price"] = price
    frame.to_csv(path, index=False)


def empty_csv(raw: Path) -> None:
    (raw / "dataset/train.csv").write_text("")


def headed_csv(raw: Path) -> None:
    (raw / "dataset/train.csv").write_text("sample_id,catalog_content,image_link,price\n")


CASES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "missing file": (drop_file, ["clip/train", "found no file 'embeddings.npy'", "only 'sample_ids.npy'"]),
    "truncated npy": (truncate_npy, ["clip/train/image_embeddings.npy"]),
    "forbidden global": (forbid_pickle, ["qwen3_embeddings_train.pkl", "posix.system", "refused"]),
    "misaligned ids": (misalign, ["clip_image", "knows none of the 300 products", "have ids like"]),
    "duplicated ids": (duplicate, ["clip/train", "more than once", "rows 0, 1"]),
    "wrong width": (narrow, ["clip/train", "700", "768"]),
    "another width in test": (widen_test, ["clip/test", "800", "768"]),
    "a source missing from all of test": (
        misalign_test,
        ["clip_image", "knows none of the 60 products of test_products"],
    ),
    "NaN": (put_nan, ["clip/train", "row 5", "column 7", "nan"]),
    "price 0": (lambda raw: set_price(raw, "0"), ["train.csv", "price", "'0'"]),
    "negative price": (lambda raw: set_price(raw, "-3.5"), ["train.csv", "price", "-3.5"]),
    "text in price": (lambda raw: set_price(raw, "cheap"), ["train.csv", "price", "cheap"]),
    "empty CSV": (empty_csv, ["train.csv", "empty"]),
    "CSV of a header": (headed_csv, ["train.csv"]),
}


TOGETHER = [
    ("missing file", "price 0"),
    ("truncated npy", "negative price"),
    ("duplicated ids", "text in price"),
    ("wrong width", "empty CSV"),
    ("NaN", "CSV of a header"),
    ("another width in test", "forbidden global"),
    ("misaligned ids",),
    ("a source missing from all of test",),
]
"""Cases of files that do not depend on each other: one run names all."""


def test_each_case_is_tried_once() -> None:
    assert sorted(case for cases in TOGETHER for case in cases) == sorted(CASES)


@pytest.mark.parametrize("cases", TOGETHER, ids=" and ".join)
def test_bad_files_stop_the_run_before_training(
    cases: tuple[str, ...], sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    for case in cases:
        CASES[case][0](project.path / "data/01_raw")
    result = project.kedro("run", "--params", SHORT, fails=True)
    message = result.stderr
    assert "Traceback" not in message
    assert "Error: " in message
    for words in (words for case in cases for words in CASES[case][1]):
        assert words in message, message
    assert not (project.path / "data/06_models").exists()
    assert not (project.path / "attacked").exists()


WRONG_VALUES = {
    "moe.train.learning_rat=0.1": ["moe.train.learning_rat", "did you mean 'learning_rate'?"],
    "moe.train.loss=smap": ["moe.train.loss", "'smap'", "'weighted_smape'"],
    "moe.model.fusion.heads=7": ["moe.model", "heads 7 does not divide"],
    "splitting.proportions=70-30": ["splitting.proportions", "70/10/20"],
}
WRONG_SECTION = {"splittin.folds=3": ["splittin", "did you mean 'splitting'?"]}


@pytest.mark.parametrize("wrong", [WRONG_VALUES, WRONG_SECTION], ids=["values", "section"])
def test_wrong_parameters_stop_the_run_before_the_first_node(
    wrong: dict[str, list[str]], sample_project: Project
) -> None:
    result = sample_project.kedro("run", "--params", ",".join(wrong), fails=True)
    assert "Running node" not in result.stdout
    assert "ParameterError" in result.stderr
    for words in (words for expected in wrong.values() for words in expected):
        assert words in result.stderr


def test_misspelt_pipeline_suggests_the_nearest(sample_project: Project) -> None:
    result = sample_project.kedro("run", "--pipelines", "train_mo", fails=True)
    assert "train_moe" in result.stderr


def test_evaluation_without_a_checkpoint_says_to_train(
    sample_project: Project, copy_of: Callable[[Project], Project]
) -> None:
    project = copy_of(sample_project)
    project.kedro("run", "--pipelines", "split")
    result = project.kedro("run", "--pipelines", "evaluate_moe", fails=True)
    assert "kedro run --pipelines train_moe" in result.stderr


def test_a_wild_learning_rate_is_named(sample_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(sample_project)
    wild = f"{SHORT},moe.train.warmup_epochs=0,moe.train.learning_rate=1000000"
    result = project.kedro("run", "--pipelines", "train_moe", "--params", wild, fails=True)
    assert "TrainingError: moe: after epoch 1 the model predicts prices that are NaN or infinite" in result.stderr
    assert "Lower moe.train.learning_rate" in result.stderr
