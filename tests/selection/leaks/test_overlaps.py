"""Duplicates across splits are found, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.groups.keys import group_keys
from price_fusion.data.splits import split_samples
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import AlignmentError
from price_fusion.selection.leaks.overlaps import (
    FOLD,
    Likeness,
    Overlaps,
    counterparts,
    find_overlaps,
    normalised_text,
    sides,
    warn_of_overlaps,
)

SPLIT = ["train"] * 6 + ["validation"] * 2 + ["holdout"] * 4
FOLDS = [0, 0, 0, 1, 1, 1, 0, 1, -1, -1, -1, -1]


def products(ids: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": ids,
            "catalog_content": [f"product {one}" for one in ids],
            "image_link": [f"{one}.jpg" for one in ids],
        }
    )


@pytest.fixture
def look(make_table: Callable[..., EmbeddingTable]) -> Callable[..., Overlaps]:
    """A function that looks for overlaps of 12 labelled products and 5 others, changed by a test beforehand."""

    def run(change: Callable[..., None] = lambda *_: None, ids: Any = None, near: float = 0.999) -> Overlaps:
        labelled, new = products(ids or list(range(100, 112))), products([200, 201, 202, 203, 204])
        vectors = np.random.default_rng(1).normal(size=(17, 8)).astype(np.float32)
        change(labelled, new, vectors)
        samples = labelled[["sample_id"]].assign(price=1.0, row_words=np.arange(12))
        split_table = pd.DataFrame({"split": SPLIT, "fold": FOLDS})
        page = sides((labelled, samples), split_table, (new, new[["sample_id"]]))
        tables = make_table(np.arange(12), vectors[:12]), make_table(np.arange(5), vectors[12:])
        return find_overlaps(page, {"words": (tables[0], np.arange(12), tables[1], np.arange(5))}, near=near)

    return run


def counts(found: Overlaps) -> dict[tuple[str, str, str], int]:
    return {
        (overlap["kind"], overlap["of"], overlap["among"]): overlap["products"]
        for overlap in found.report["overlaps"]
        if overlap["products"]
    }


def test_products_of_their_own_overlap_nowhere(look: Callable[..., Overlaps], caplog: pytest.LogCaptureFixture) -> None:
    found = look()
    assert counts(found) == {}
    assert found.products.empty
    assert len(found.report["overlaps"]) == 6 * 5
    with caplog.at_level(logging.INFO):
        warn_of_overlaps(found.report)
    assert "no duplicates across splits, in 30 comparisons" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_text_typed_again_is_the_same_normalised(look: Callable[..., Overlaps]) -> None:
    def change(labelled: pd.DataFrame, new: pd.DataFrame, vectors: np.ndarray) -> None:
        labelled.loc[8, "catalog_content"] = "  PRODUCT,\t101! "
        new.loc[0, "catalog_content"] = "product 103"

    found = look(change)
    assert counts(found) == {
        ("normalised text", "holdout", "train"): 1,
        ("normalised text", "test", "labelled"): 1,
        ("text", "test", "labelled"): 1,
    }
    of_holdout = found.products[found.products["of"] == "holdout"].iloc[0]
    assert (of_holdout["sample_id"], of_holdout["counterpart"]) == ("108", "101")


def test_image_links_are_compared_and_empty_ones_are_not(look: Callable[..., Overlaps]) -> None:
    def change(labelled: pd.DataFrame, new: pd.DataFrame, vectors: np.ndarray) -> None:
        labelled.loc[[0, 8], "image_link"] = ""
        labelled.loc[[1, 7, 9, 10], "image_link"] = "shared.jpg"

    assert counts(look(change)) == {
        ("image link", "validation", "train"): 1,
        ("image link", "holdout", "train"): 2,
        ("image link", "holdout", "validation"): 2,
        ("image link", FOLD, "what its models fit"): 2,
    }


def test_embeddings_are_compared(look: Callable[..., Overlaps], caplog: pytest.LogCaptureFixture) -> None:
    def change(labelled: pd.DataFrame, new: pd.DataFrame, vectors: np.ndarray) -> None:
        vectors[8] = vectors[0]
        vectors[9] = 1.01 * vectors[0]
        vectors[12] = vectors[6]

    found = look(change)
    assert counts(found) == {
        ("embedding", "holdout", "train"): 1,
        ("embedding", "test", "labelled"): 1,
        ("near embedding", "holdout", "train"): 1,
    }
    warn_of_overlaps(found.report)
    assert (
        "products of holdout have a counterpart in train: 1 with the same embedding in words, such as 108; "
        in caplog.text
    )
    assert "1 with the same near embedding in words, such as 109" in caplog.text


def test_numbers_and_text_are_the_same_id(look: Callable[..., Overlaps]) -> None:
    ids: list[Any] = [f"B{number}" for number in range(11)] + ["203"]
    assert counts(look(ids=ids))["id", "test", "labelled"] == 1


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_counterparts_are_those_of_comparing_each_with_each(drawn: list[tuple[int, bool]]) -> None:
    codes = np.array([code - 1 for code, _ in drawn])
    asked = np.array([side for _, side in drawn])
    pairs = np.array([[0, 1], [2, 4]])
    alike = {(0, 1), (1, 0), (2, 4), (4, 2)}
    codes_used = np.concatenate([codes, [5]])  # so that all numbers of the pairs exist
    asked = np.concatenate([asked, [True]])
    same = counterparts(Likeness("id", "", codes_used), asked, ~asked)
    near = counterparts(Likeness("near", "", codes_used, pairs), asked, ~asked)
    for place, code in enumerate(codes_used):
        others = [other for other in np.flatnonzero(~asked) if asked[place] and code >= 0]
        same_ones = [other for other in others if codes_used[other] == code]
        near_ones = [other for other in others if (code, codes_used[other]) in alike]
        assert same[place] == (same_ones[0] if same_ones else -1)
        assert near[place] in near_ones if near_ones else near[place] == -1


def test_the_split_keeps_texts_and_links_on_one_side(make_table: Callable[..., EmbeddingTable]) -> None:
    generator = np.random.default_rng(5)
    labelled = products(list(range(400)))
    labelled["image_link"] = generator.integers(300, size=400).astype(str)
    labelled["catalog_content"] = generator.integers(350, size=400).astype(str)
    samples = pd.DataFrame(
        {"sample_id": range(400), "price": 5.0 + generator.random(400), "group_key": group_keys(labelled)}
    )
    split_table = split_samples(samples, fractions=(0.7, 0.1, 0.2), price_quantiles=5, folds=3, tuned_on={}, seed=1)
    page = sides((labelled, samples), split_table, (products([900]), pd.DataFrame({"sample_id": [900]})))
    assert counts(find_overlaps(page, {}, near=0.999)) == {}


def test_a_sample_table_of_other_files_is_refused() -> None:
    labelled = products([1, 2])
    samples = pd.DataFrame({"sample_id": [1, 7]})
    split_table = pd.DataFrame({"split": ["train", "holdout"], "fold": [0, -1]})
    with pytest.raises(AlignmentError, match=r"train_products: lacks 1 product.* such as 7"):
        sides((labelled, samples), split_table, (labelled, labelled))


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Tea,  12 oz.", "tea 12 oz"), ("\uff34\uff25\uff21", "tea"), ("Straße", "strasse"), ("--", "")],
)
def test_normalising_drops_what_typing_changes(text: str, plain: str) -> None:
    assert normalised_text(text) == plain
