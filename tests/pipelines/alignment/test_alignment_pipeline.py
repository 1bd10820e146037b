"""Each model reads its own sources alone, and chooses its products after the one split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import AlignmentError
from price_fusion.parameters import IngestionParameters
from price_fusion.pipelines.alignment.nodes import choose_labelled, choose_unlabelled

CHECKS: dict[str, Any] = {"part": "train", "suspicions": []}
SAMPLES = pd.DataFrame({"sample_id": [4, 2, 1, 3], "place": [3, 1, 0, 2], "price": 1.0, "group_key": [0, 1, 2, 3]})
SPLIT = pd.DataFrame({"sample_id": [4, 2, 1, 3], "split": "train", "fold": 0, "tuned_on": False})


@pytest.fixture
def tables(make_table: Callable[..., EmbeddingTable]) -> dict[str, EmbeddingTable]:
    """Sources of which one knows the products 1 and 2, one 2 and 3."""
    return {
        name: make_table(ids, np.ones((2, 2)), source=name) for name, ids in (("picture", [1, 2]), ("words", [2, 3]))
    }


def chosen(tables: dict[str, EmbeddingTable], **ingestion: Any) -> list[int]:
    samples, split, *_ = choose_labelled(
        SAMPLES, SPLIT, CHECKS, IngestionParameters(**ingestion), CHECKS, *tables.values()
    )
    assert samples["sample_id"].tolist() == split["sample_id"].tolist()
    assert samples.index.tolist() == list(range(len(samples)))
    return samples["sample_id"].tolist()


def test_policies_choose_over_the_sources_of_the_model(tables: dict[str, EmbeddingTable]) -> None:
    assert chosen(tables, unknown_products="drop") == [2, 1, 3]
    assert chosen(tables, policy="intersect") == [2]
    alone = {"words": tables["words"]}
    assert chosen(alone, policy="intersect") == chosen(alone, unknown_products="drop") == [2, 3]
    with pytest.raises(AlignmentError, match=r"1 product\(s\) are in none of the sources read \(picture, words\): 4"):
        chosen(tables)


def test_a_model_of_one_source_refuses_what_it_lacks(tables: dict[str, EmbeddingTable]) -> None:
    with pytest.raises(AlignmentError, match=r"2 product\(s\) are in none of the sources read \(words\): 1, 4.*'drop'"):
        chosen({"words": tables["words"]})


def test_no_product_to_be_predicted_is_left_out(
    tables: dict[str, EmbeddingTable], caplog: pytest.LogCaptureFixture
) -> None:
    options = IngestionParameters(policy="intersect", unknown_products="drop")
    samples, report = choose_unlabelled(SAMPLES, CHECKS, options, CHECKS, *tables.values())
    assert samples["sample_id"].tolist() == SAMPLES["sample_id"].tolist()
    assert report["rows_in_no_source"] == 1
    assert "1 product(s) to be predicted are in no source of embeddings" in caplog.text
