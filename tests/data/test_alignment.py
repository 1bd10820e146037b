"""Alignment by id, under each policy, and groups of products that share an image or a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.alignment import align_samples, align_source, sample_table
from price_fusion.data.columns import draft_columns
from price_fusion.data.groups.keys import group_keys, warn_of_large_group
from price_fusion.data.order import canonical_order
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.errors import AlignmentError
from price_fusion.parameters import ColumnSourceParameters

MakeTable = Callable[..., EmbeddingTable]


def products(ids: list[int], *, labelled: bool = True) -> pd.DataFrame:
    frame = pd.DataFrame({"sample_id": ids})
    frame["catalog_content"] = [f"text {number}" for number in ids]
    frame["image_link"] = [f"https://pictures/{number}.jpg" for number in ids]
    return frame.assign(price=np.array(ids) + 0.5) if labelled else frame


def tables(make_table: MakeTable, **ids: list[int]) -> dict[str, EmbeddingTable]:
    return {name: make_table(numbers, np.ones((len(numbers), 2)), source=name) for name, numbers in ids.items()}


class Alignment(NamedTuple):
    """The products that a model may use, and the report."""

    samples: pd.DataFrame
    report: dict[str, Any]


def align(frame: pd.DataFrame, sources: dict[str, EmbeddingTable], **changes: Any) -> Alignment:
    """What the stages ``ingestion`` and ``alignment`` make of products and sources."""
    options = {"policy": "keep", "unknown_products": "error", "origin": "train.csv"} | changes
    samples = sample_table(frame, options["origin"])
    ids = frame["sample_id"].to_numpy()
    ids = ids if ids.dtype.kind == "i" else np.array(ids.tolist())
    for table in sources.values():
        align_source(table, ids, options["origin"])
    alignment = align_samples(samples, sources, **options)
    return Alignment(samples[alignment.kept].reset_index(drop=True), alignment.report)


def in_file_order(alignment: Alignment) -> pd.DataFrame:
    return alignment.samples.sort_values("place")


IDS = st.lists(st.integers(0, 25), unique=True, min_size=1, max_size=20)


@given(asked=IDS, image=IDS, text=IDS, policy=st.sampled_from(["keep", "intersect", "strict"]))
def test_each_product_finds_its_rows_or_is_refused(
    make_table: MakeTable, asked: list[int], image: list[int], text: list[int], policy: str
) -> None:
    sources = tables(make_table, image=image, text=text)
    in_all, in_some = set(image) & set(text), set(image) | set(text)
    expected = {
        "keep": [number for number in asked if number in in_some],
        "intersect": [number for number in asked if number in in_all],
        "strict": asked,
    }[policy]
    refused = (
        not set(asked) & set(image)
        or not set(asked) & set(text)
        or not expected
        or (policy == "strict" and not set(asked) <= in_all)
    )
    if refused:
        with pytest.raises(AlignmentError):
            align(products(asked), sources, policy=policy, unknown_products="drop")
        return
    samples = align(products(asked), sources, policy=policy, unknown_products="drop").samples
    ordered = np.array(expected)[canonical_order(np.array(expected))].tolist()
    assert samples["sample_id"].tolist() == ordered
    assert [asked[place] for place in samples["place"]] == ordered
    samples = samples.sort_values("place")
    assert samples["price"].tolist() == [number + 0.5 for number in expected]


def test_columns_and_types_of_the_sample_table(make_table: MakeTable) -> None:
    samples = align(products([3, 1]), tables(make_table, image=[1, 2, 3], text=[3, 1])).samples
    assert samples.dtypes.astype(str).to_dict() == {
        "sample_id": "int64",
        "place": "int64",
        "price": "float64",
        "group_key": "int64",
    }
    unlabelled = align(products([3, 1], labelled=False), tables(make_table, text=[3, 1])).samples
    assert "price" not in unlabelled


def test_report_counts_and_shows_what_did_not_fit(make_table: MakeTable) -> None:
    sources = tables(make_table, image=[1, 2, 90, 91], text=[2, 3])
    frame = products([1, 2, 3, 4])
    frame.loc[[0, 1], "image_link"] = "https://pictures/same.jpg"
    report = align(frame, sources, unknown_products="drop").report
    assert report | {"sources": None} == {
        "products": "train.csv",
        "policy": "keep",
        "rows": 4,
        "rows_kept": 3,
        "rows_in_all_sources": 1,
        "rows_in_no_source": 1,
        "duplicate_ids": 0,
        "groups_of_several": 1,
        "sources": None,
    }
    assert report["sources"]["image"] == {
        "rows": 4,
        "matched": 2,
        "missing": 2,
        "missing_examples": [3, 4],
        "extra": 2,
        "extra_examples": [90, 91],
    }
    assert report["sources"]["text"]["missing_examples"] == [1, 4]


def test_report_shows_few_examples_of_many(make_table: MakeTable) -> None:
    report = align(products(list(range(30))), tables(make_table, image=[0, 99], text=list(range(30)))).report
    assert report["sources"]["image"]["missing"] == 29
    assert report["sources"]["image"]["missing_examples"] == [1, 2, 3, 4, 5]


def test_strict_names_each_source_that_lacks_products(make_table: MakeTable) -> None:
    sources = tables(make_table, image=[1, 2, 3], text=[2], words=[3, 1])
    with pytest.raises(AlignmentError) as caught:
        align(products([1, 2, 3]), sources, policy="strict")
    message = str(caught.value)
    assert "train.csv: ingestion.policy is 'strict'" in message
    assert "text (text.npy) lacks 2: 1, 3" in message
    assert "words (words.npy) lacks 1: 2" in message
    assert "image" not in message


def test_products_that_no_source_knows_are_an_error(make_table: MakeTable) -> None:
    sources = tables(make_table, image=[1], text=[2])
    with pytest.raises(
        AlignmentError,
        match=r"train.csv: 7 product\(s\) are in none of the sources read \(image, text\): 3, 4, 5, 6, 7, \.\.\.",
    ):
        align(products(list(range(1, 10))), sources)


def test_products_that_no_source_knows_can_be_dropped_or_kept(make_table: MakeTable) -> None:
    sources = tables(make_table, image=[1], text=[2])
    dropped = in_file_order(align(products([1, 9, 2]), sources, unknown_products="drop"))
    assert dropped["sample_id"].tolist() == [1, 2]
    kept = in_file_order(align(products([1, 9, 2]), sources, unknown_products="keep"))
    assert kept["sample_id"].tolist() == [1, 9, 2]


def test_a_source_of_other_products_is_refused(make_table: MakeTable) -> None:
    sources = tables(make_table, image=[1, 2], text=[901, 902])
    with pytest.raises(AlignmentError) as caught:
        align(products([1, 2]), sources)
    message = str(caught.value)
    assert "source 'text' (text.npy) knows none of the 2 products of train.csv" in message
    assert "ids like 1, 2, the source has ids like 901, 902" in message


def named(ids: list[Any]) -> pd.DataFrame:
    return products(list(range(len(ids)))).assign(sample_id=ids)


def test_text_ids_find_their_rows(make_table: MakeTable) -> None:
    sources = {"image": make_table(["B7", "007", "x, y"], np.ones((3, 2)), source="image")}
    aligned = align(named(["007", "B7", "B8"]), sources, unknown_products="drop")
    assert in_file_order(aligned)["sample_id"].tolist() == ["007", "B7"]
    assert aligned.report["sources"]["image"]["missing_examples"] == ["B8"]
    assert aligned.report["sources"]["image"]["extra_examples"] == ["x, y"]


def test_numbers_find_the_same_numbers_in_text_and_no_others(make_table: MakeTable) -> None:
    text = {"image": make_table(["12", "3", "B7"], np.ones((3, 2)), source="image")}
    assert align(products([3, 12]), text).report["sources"]["image"]["matched"] == 2
    numbers = {"image": make_table([12, 3], np.ones((2, 2)), source="image")}
    aligned = align(named(["3", "B7", "12"]), numbers, unknown_products="keep")
    assert aligned.report["sources"]["image"]["missing_examples"] == ["B7"]


@pytest.mark.parametrize(
    ("asked", "stored"), [(["00123", "00124"], [123, 124]), ([123, 7], ["123.0", "x"]), (["B7", "c"], ["b7", "d"])]
)
def test_ids_that_only_look_alike_are_never_joined(make_table: MakeTable, asked: list[Any], stored: list[Any]) -> None:
    sources = {"image": make_table(stored, np.ones((2, 2)), source="image")}
    with pytest.raises(AlignmentError, match=r"look alike but for leading zeros, '\.0', capitals"):
        align(named(asked), sources, unknown_products="keep")


def test_few_ids_that_look_alike_are_a_warning(make_table: MakeTable, caplog: pytest.LogCaptureFixture) -> None:
    sources = {"image": make_table(["B7", "B8", "b9"], np.ones((3, 2)), source="image")}
    align(named(["B7", "B8", "B9"]), sources, unknown_products="keep")
    assert "1 id(s) look alike" in caplog.text


def test_intersect_of_nothing_is_refused(make_table: MakeTable) -> None:
    with pytest.raises(AlignmentError, match=r"no product is in all sources. Set ingestion.policy to 'keep'"):
        align(products([1, 2]), tables(make_table, image=[1], text=[2]), policy="intersect")


# --- columns ---------------------------------------------------------------------------------------------------------


def column_table(folder: Path, ids: list[int]) -> EmbeddingTable:
    declaration = ColumnSourceParameters(kind="columns", group="facts", categorical=("image_link",))
    write_table(folder / "facts", "facts", draft_columns(products(ids), declaration, "train.csv"))
    return EmbeddingTable(folder / "facts")


@given(
    asked=IDS,
    image=IDS,
    policy=st.sampled_from(["keep", "intersect", "strict"]),
    unknown=st.sampled_from(["error", "drop", "keep"]),
)
def test_columns_change_nothing_about_which_products_are_kept(
    make_table: MakeTable, new_folder: Callable[[], Path], asked: list[int], image: list[int], policy: str, unknown: str
) -> None:
    embeddings = tables(make_table, image=image)
    both = embeddings | {"facts": column_table(new_folder(), asked)}

    def outcome(sources: dict[str, EmbeddingTable]) -> Alignment | str:
        try:
            return align(products(asked), sources, policy=policy, unknown_products=unknown)
        except AlignmentError as error:
            return str(error)

    alone, together = outcome(embeddings), outcome(both)
    if isinstance(alone, str) or isinstance(together, str):
        assert alone == together
        return
    pd.testing.assert_frame_equal(together.samples, alone.samples)
    assert together.report["sources"].pop("facts")["missing"] == 0
    assert together.report == alone.report


def test_columns_alone_know_every_product(new_folder: Callable[[], Path]) -> None:
    alignment = align(products([5, 2, 9]), {"facts": column_table(new_folder(), [5, 2, 9])})
    assert in_file_order(alignment)["sample_id"].tolist() == [5, 2, 9]
    assert (alignment.report["rows_in_all_sources"], alignment.report["rows_in_no_source"]) == (3, 0)


# --- groups ----------------------------------------------------------------------------------------------------------


def union_find_groups(links: list[str], texts: list[str]) -> list[int]:
    """Groups by joining each product with the first one of the same link and of the same text."""
    parent = list(range(len(links)))

    def root(product: int) -> int:
        while parent[product] != product:
            product = parent[product]
        return product

    for values in (links, texts):
        first: dict[str, int] = {}
        for product, value in enumerate(values):
            if value:
                parent[root(product)] = root(first.setdefault(value, product))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(product), len(numbers)) for product in range(len(links))]


@given(
    st.lists(st.tuples(st.sampled_from(["", *"abcdefgh"]), st.sampled_from(["", *"abcdefgh"])), min_size=1, max_size=25)
)
def test_groups_equal_those_of_a_union_find(pairs: list[tuple[str, str]]) -> None:
    links, texts = map(list, zip(*pairs, strict=True))
    keys = group_keys(pd.DataFrame({"image_link": links, "catalog_content": texts}))
    assert keys.dtype == np.int64
    assert keys.tolist() == union_find_groups(links, texts)


def test_a_chain_of_links_and_texts_is_one_group() -> None:
    frame = pd.DataFrame({"image_link": ["x", "x", "y", "z"], "catalog_content": ["a", "b", "b", "c"]})
    assert group_keys(frame).tolist() == [0, 0, 0, 1]


def test_empty_links_and_texts_are_shared_by_nobody() -> None:
    frame = pd.DataFrame({"image_link": [""] * 3, "catalog_content": [""] * 3})
    assert group_keys(frame).tolist() == [0, 1, 2]


def test_a_link_is_no_text() -> None:
    frame = pd.DataFrame({"image_link": ["same", "other"], "catalog_content": ["thing", "same"]})
    assert group_keys(frame).tolist() == [0, 1]


def test_a_group_that_distorts_the_split_is_warned_of(caplog):
    links = ["http://shop/soon.png"] * 12 + [f"http://shop/{number}.png" for number in range(88)]
    frame = pd.DataFrame({"image_link": links, "catalog_content": [f"text {number}" for number in range(100)]})
    warn_of_large_group(group_keys(frame), frame, "train_products")
    assert "holds 12 of 100 products (12 %); 12 of them have the image_link 'http://shop/soon.png'" in caplog.text
    caplog.clear()
    warn_of_large_group(group_keys(frame[8:]), frame[8:], "train_products")
    assert not caplog.text
