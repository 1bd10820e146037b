"""Columns of train.csv and test.csv as sources, through the real command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from price_fusion import Predictor
from price_fusion.data.table import EmbeddingTable
from price_fusion.models.checkpoint import read_header
from price_fusion.parameters import ColumnSourceParameters
from support.projects import SHORT, Project

COLUMNS = {
    "sources": {"facts": {"kind": "columns", "group": "facts", "numeric": ["weight"], "categorical": ["colour"]}},
    "two_branch": {
        "sources": ["clip_image", "facts"],
        "model": {"branch": {"width": 16}, "head": {"hidden": [8]}},
        "train": {"epochs": 2},
    },
    "variants": ["two_branch"],
    "ingestion": {"unknown_products": "drop"},  # some have no picture
}


@pytest.fixture
def project(sample_project: Project, copy_of: Callable[[Project], Project]) -> Project:
    return copy_of(sample_project)


def declare(project: Project, parameters: dict[str, Any]) -> None:
    folder = project.path / "conf/mine"
    folder.mkdir()
    (folder / "parameters.yml").write_text(yaml.safe_dump(parameters))


def change_csv(project: Project, part: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    path = project.path / f"data/01_raw/dataset/{part}.csv"
    products = change(pd.read_csv(path, dtype=str, keep_default_na=False))
    products.to_csv(path, index=False)
    return products


def with_facts(colours: list[str], weights: list[str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What adds a weight and a colour to each product, in turn."""

    def add(products: pd.DataFrame) -> pd.DataFrame:
        rows = np.arange(len(products))
        return products.assign(
            colour=[colours[row % len(colours)] for row in rows], weight=[weights[row % len(weights)] for row in rows]
        )

    return add


def prices_of(project: Project, variant: str) -> pd.DataFrame:
    prices = pd.read_csv(project.path / f"data/07_model_output/{variant}/test_out.csv")
    assert np.isfinite(prices["price"]).all()
    assert (prices["price"] > 0).all()
    return prices


def test_numbers_and_categories_of_the_csv_train_and_price(project: Project) -> None:
    declare(project, COLUMNS)
    change_csv(project, "train", with_facts(["red", "blue", "", "green"], ["1.5", "", "20", "7", "3"]))
    wanted = change_csv(project, "test", with_facts(["violet", "red"], ["", "2", "9"]))
    project.kedro("run", "--env", "mine", "--pipelines", "two_branch")

    prices = prices_of(project, "two_branch")
    assert prices["sample_id"].tolist() == wanted["sample_id"].astype(int).tolist()
    checkpoint = project.path / "data/06_models/two_branch/final/checkpoint.safetensors"
    facts = read_header(checkpoint).sources["facts"]
    assert isinstance(facts, ColumnSourceParameters)
    assert facts.vocabulary == {"colour": ("blue", "green", "red")}
    of_test = EmbeddingTable(project.path / "data/03_primary/tables/facts/test").declaration
    assert isinstance(of_test, ColumnSourceParameters)
    assert of_test.vocabulary == {"colour": ("red", "violet")}  # another one: it is translated

    # A checkpoint and a CSV are enough; the picture is left out, and violet is as good as nothing.
    predictor = Predictor.load(checkpoint)
    assert (predictor.widths, predictor.columns) == ({"clip_image": 768}, {"facts": ("weight", "colour")})
    without = predictor.predict({}, wanted)
    np.testing.assert_array_equal(predictor.predict({}, wanted.replace("violet", "")), without)
    assert (predictor.predict({}, wanted.replace("violet", "blue")) != without)[::2].all()
    unseen = set(wanted["sample_id"].astype(int)) - {*np.load(clip_ids(project))}
    assert unseen
    lacking = wanted["sample_id"].astype(int).isin(unseen).to_numpy()
    np.testing.assert_allclose(prices["price"][lacking], without[lacking], rtol=1e-4)


def clip_ids(project: Project) -> Path:
    return project.path / "data/01_raw/embeddings/clip/test/sample_ids.npy"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda frame: frame,
            ["train_products: lacks the column(s) weight, colour", "found sample_id,", "(parameters.yml, sources)"],
        ),
        (
            with_facts(["red"], ["1", "heavy"]),
            ["train_products: column 'weight' holds 150 value(s) that are not numbers", ": 'heavy'", "as categorical"],
        ),
    ],
    ids=["missing columns", "text among numbers"],
)
def test_columns_that_are_not_as_declared_stop_the_run_by_name(
    project: Project, change: Callable[[pd.DataFrame], pd.DataFrame], expected: list[str]
) -> None:
    declare(project, COLUMNS)
    products = change_csv(project, "train", change)
    result = project.kedro("run", "--env", "mine", "--pipelines", "train_two_branch", fails=True)
    assert "Traceback" not in result.stderr
    assert "DataError: " in result.stderr
    for words in expected:
        assert words in result.stderr
    if "weight" in products:
        assert products.loc[products["weight"] == "heavy", "sample_id"].iloc[0] in result.stderr
    assert not (project.path / "data/06_models").exists()


def test_texts_that_state_no_quantity_are_warned_of_and_priced(project: Project) -> None:
    def silence(products: pd.DataFrame) -> pd.DataFrame:
        """Each text its own, and no digit in any."""
        rows = range(len(products))
        spelt = ["".join("abcdefghij"[int(digit)] for digit in str(row)) for row in rows]
        return products.assign(catalog_content=[f"Item Name: Something nice called {name}\n" for name in spelt])

    for part in ("train", "test"):
        change_csv(project, part, silence)
    printed = project.kedro("run", "--pipelines", "two_branch", "--params", SHORT).stdout
    shown = " ".join(printed.split())
    for part in ("train", "test"):
        assert f"{part}_products: no amount such as '250 g' in the title or first line of catalog_content" in shown
    header = read_header(project.path / "data/06_models/two_branch/checkpoint.safetensors")
    assert list(header.sources) == ["clip_image", "qwen_text", "quantity"]
    assert len(prices_of(project, "two_branch")) == 60
