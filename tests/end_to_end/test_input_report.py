"""A run with several inputs that cannot be used says so of all of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from support.projects import Project


def spoil(raw: Path) -> None:
    products = pd.read_csv(raw / "dataset/train.csv", dtype=str, keep_default_na=False)
    products.loc[3, "price"] = "0"
    products.to_csv(raw / "dataset/train.csv", index=False)
    ids = np.load(raw / "embeddings/clip/train/sample_ids.npy")
    np.save(raw / "embeddings/clip/train/sample_ids.npy", np.where(np.arange(len(ids)) == 1, ids[0], ids))
    narrow = np.load(raw / "embeddings/siglip/train/image_embeddings.npy")[:, :700]
    np.save(raw / "embeddings/siglip/train/image_embeddings.npy", narrow)
    vectors = np.load(raw / "embeddings/siglip/test/text_embeddings.npy")
    vectors[[5, 8], 7] = np.nan
    np.save(raw / "embeddings/siglip/test/text_embeddings.npy", vectors)
    others = np.load(raw / "embeddings/clip/test/sample_ids.npy") + 10_000_000
    np.save(raw / "embeddings/clip/test/sample_ids.npy", others)


def test_all_that_is_wrong_is_said_at_once(sample_project: Project, copy_of: Callable[[Project], Project]) -> None:
    project = copy_of(sample_project)
    raw = project.path / "data/01_raw"
    spoil(raw)
    message = project.kedro("run", "--pipelines", "ingest", fails=True).stderr
    expected = [
        ("1. ", "dataset/train.csv", "'0'"),
        ("2. ", "embeddings/clip/train", "more than once"),
        ("3. ", "embeddings/siglip/train", "width 700, expected 1152"),
        ("4. ", "embeddings/siglip/test", "row 5", "column 7", "found nan", "2 of 5"),
        ("5. ", "embeddings/clip/test", "knows none of the 60 products"),
    ]
    assert "DataError: 5 problems in 5 input(s) of this run:" in message
    assert "Traceback" not in message
    listed = [line for line in message.splitlines() if line.startswith("  ") and line.strip()[:1].isdigit()]
    assert len(listed) == len(expected)
    for line, words in zip(listed, expected, strict=True):
        assert all(word in line for word in words), line
    report = json.loads((project.path / "data/08_reporting/validation_report.json").read_text())
    assert [problem["problem"] for problem in report["problems"]] == [line.strip().split(". ", 1)[1] for line in listed]
    assert report["problems"][0]["dataset"] == "train_products"
