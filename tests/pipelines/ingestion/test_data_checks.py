"""Likely mistakes: warned of, or an error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import DataError
from price_fusion.parameters import IngestionParameters, SourceParameters
from price_fusion.pipelines.alignment.nodes import choose_labelled
from price_fusion.pipelines.ingestion.nodes import (
    check_labelled,
    check_labelled_table,
    check_unlabelled,
    check_unlabelled_table,
    sample_labelled,
)
from price_fusion.pipelines.ingestion.pipeline import COMPARING, create_pipeline


@pytest.fixture
def inputs(make_table: Callable[..., EmbeddingTable]) -> tuple[pd.DataFrame, EmbeddingTable]:
    count = 40
    vectors = np.random.default_rng(0).normal(size=(count, 8))
    vectors[3] = 0
    prices = np.linspace(5, 50, count)
    prices[7] = 1e6
    names = [f"product {number}" for number in range(count)]
    products = pd.DataFrame(
        {"sample_id": np.arange(count), "catalog_content": names, "image_link": names, "price": prices}
    )
    return products, make_table(np.arange(count), vectors)


def test_suspicions_are_logged_and_reported(
    inputs: tuple[pd.DataFrame, EmbeddingTable], caplog: pytest.LogCaptureFixture
) -> None:
    products, table = inputs
    with caplog.at_level(logging.WARNING):
        of_products = check_labelled(products, IngestionParameters())
        of_table = check_labelled_table(products, table, IngestionParameters())
    for report in (of_products, of_table):
        assert report == json.loads(json.dumps(report)) | {"suspicions": report["suspicions"]}
    found = [*of_products["suspicions"], *of_table["suspicions"]]
    assert [(one["check"], one["count"], list(one["examples"])) for one in found] == [
        ("price_too_high", 1, [7]),
        ("zero_embedding", 1, [3]),
    ]
    assert "words (words.npy): embeddings of nothing but zeros: 1 of 40 rows (ids 3)" in caplog.text
    samples = sample_labelled(products)
    split = samples[["sample_id"]]
    *_, alignment, checks = choose_labelled(samples, split, of_products, IngestionParameters(), of_table, table)
    assert alignment["suspicions"] == 2
    assert checks == {"part": "train", "suspicions": found}


def test_suspicions_can_be_errors(inputs: tuple[pd.DataFrame, EmbeddingTable]) -> None:
    products, table = inputs
    strict = IngestionParameters(on_suspicion="error")
    for check in (lambda: check_labelled(products, strict), lambda: check_labelled_table(products, table, strict)):
        with pytest.raises(DataError, match="1 likely mistake") as caught:
            check()
        assert "ingestion.on_suspicion" in str(caught.value)


def test_clean_inputs_are_no_error(inputs: tuple[pd.DataFrame, EmbeddingTable]) -> None:
    products, table = inputs
    clean = products.drop(columns="price")
    strict = IngestionParameters(on_suspicion="error")
    assert check_unlabelled(clean, strict, None) == {"part": "test", "suspicions": []}
    with pytest.raises(DataError, match=r"inputs of test.*\n.*zeros"):
        check_unlabelled_table(clean, table, strict, None)


def test_test_tables_are_compared_with_the_train_tables_of_their_sources(
    make_table: Callable[..., EmbeddingTable],
) -> None:
    rows = np.random.default_rng(0).normal(size=(300, 8))
    train, test = make_table(np.arange(150), rows[:150]), make_table(np.arange(150), 5 * rows[150:])
    names = [f"product {number}" for number in range(150)]
    products = pd.DataFrame({"sample_id": np.arange(150), "catalog_content": names, "image_link": names})

    def found(table: EmbeddingTable, other: EmbeddingTable | None) -> list[str]:
        report = check_unlabelled_table(products, table, IngestionParameters(), other)
        return [one["check"] for one in report["suspicions"]]

    assert found(test, train) == ["test_unlike_train"]
    assert found(test, None) == []
    assert found(train, train) == []


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")
def test_products_to_be_predicted_are_compared_with_labelled_ones_last() -> None:
    """``hooks/derived_inputs.py`` gives None for the last input of these nodes where it is not there."""
    nodes = create_pipeline({"words": SourceParameters(width=8, group="text")}, "test").nodes
    compared = {node.inputs[-1] for node in nodes if node.func in COMPARING}
    assert compared == {"words.train_table", "train_samples"}


def test_products_that_are_labelled_as_well_are_counted() -> None:
    def frame(ids: list[str]) -> pd.DataFrame:
        return pd.DataFrame({"sample_id": ids, "catalog_content": ids, "image_link": ids})

    unlabelled = frame(["7", "008", "x-1", "12"])
    (found,) = check_unlabelled(unlabelled, IngestionParameters(), frame(["12", "8", "9", "X-1", "7"]))["suspicions"]
    assert (found["check"], found["count"], found["of"], found["examples"]) == ("labelled_product", 2, 4, ("7", "12"))
    assert not check_unlabelled(unlabelled, IngestionParameters(), frame(["70", "8"]))["suspicions"]
    numbers = frame(["12"]).assign(sample_id=[12])
    assert check_unlabelled(unlabelled, IngestionParameters(), numbers)["suspicions"][0]["examples"] == ("12",)
