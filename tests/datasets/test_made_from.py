"""What an output was made from: facts of several nodes together, and what differs from the record in words."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.datasets.made_from import (
    ROWS_IN_MEMORY,
    Facts,
    Origins,
    as_text,
    differences,
    from_text,
    merged,
    models,
    newer,
    not_known,
    other_limit,
    raw_files,
    without_limits,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
    max_leaves=8,
)
FACTS = st.dictionaries(st.text(), st.lists(JSON, min_size=1, max_size=3).map(tuple), max_size=4)


class Known:
    """An output with a record."""

    def __init__(self, facts: Facts | None, model: Path | None = None) -> None:
        self._facts, self._model, self.is_model = facts, model, model is not None

    @property
    def origin_file(self) -> Path | None:
        return self._model

    def made_from(self) -> Facts | None:
        return self._facts


@given(FACTS)
def test_facts_come_back_from_their_text_which_is_one_line(facts: Facts) -> None:
    text = as_text(facts)
    assert "\n" not in text
    assert text.isascii()
    assert from_text(text) == facts
    assert not differences(facts, {name: values[:1] for name, values in facts.items() if len(values) == 1})


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"params:seed": 3}'])
def test_another_text_holds_no_facts(text: str) -> None:
    assert from_text(text) is None


def test_an_output_is_made_from_what_its_inputs_were_made_from() -> None:
    split = Known({"params:seed": (41,), "products": ({"files": {"a.csv": "0f"}},)})
    origins = Origins({"params:seed": (41,), "params:moe": ({"epochs": 2},)}, {"split": split, "unknown": Known(None)})
    assert origins.facts() == {
        "params:seed": (41,),
        "params:moe": ({"epochs": 2},),
        "products": ({"files": {"a.csv": "0f"}},),
    }


def test_an_output_is_of_the_models_that_its_inputs_are_of_and_a_model_stands_for_those_that_it_is_of(
    tmp_path: Path,
) -> None:
    file = tmp_path / "checkpoint.safetensors"
    figures = Known({"params:seed": (41,), "model:moe.checkpoint": ("0f",)})
    final = Known({"params:seed": (41,), "model:moe.checkpoint": ("0f",)}, file)
    assert Origins(inputs={"figures": figures}).facts() == {"params:seed": (41,), "model:moe.checkpoint": ("0f",)}
    assert models(Origins(inputs={"moe.final": final}).facts()) == {"moe.checkpoint": ("0f",)}  # its file is not there
    file.write_bytes(b"weights")
    facts = Origins(inputs={"moe.final": final}).facts()
    assert facts == {"params:seed": (41,), "model:moe.final": (hashlib.sha256(b"weights").hexdigest(),)}
    assert not newer({"model:moe.final": ("0f",)}, facts)


def test_two_values_of_one_name_are_both_kept_and_neither_is_current_alone() -> None:
    both = merged({"params:seed": (41,)}, {"params:seed": (5,)})
    assert both == {"params:seed": (41, 5)}
    assert differences(both, {"params:seed": (41,)}) == ["seed is 41, was 5"]
    assert differences(both, {"params:seed": (5,)}) == ["seed is 5, was 41"]


def test_differences_name_the_parameter_and_the_file() -> None:
    recorded: Facts = {
        "params:moe": ({"train": {"epochs": 20, "keep": "last"}, "sources": ["a", "b"]},),
        "test_products": ({"files": {"test.csv": "0f"}, "read with": {"decimal": "."}},),
        "params:seed": (41,),
    }
    current: Facts = {
        "params:moe": ({"train": {"epochs": 30, "keep": "last", "ema": None}, "sources": ["a"]},),
        "test_products": ({"files": {"test.csv": "1e"}, "read with": {"decimal": ",", "sheet": "first"}},),
        "params:levels": (0.8,),
    }
    assert differences(recorded, current) == [
        "moe.train.epochs is 30, was 20",
        'moe.sources is ["a"], was ["a", "b"]',
        "test_products (test.csv) has changed",
        "test_products (decimal) has changed",
    ]
    assert not_known(recorded, current) == ["params:levels"]


def test_a_parameter_that_comes_or_goes_is_a_difference() -> None:
    few, more = {"params:sources": ({"a": 1},)}, {"params:sources": ({"a": 1, "b": 2},)}
    assert differences(few, more) == ["sources.b is 2, was not there"]
    assert differences(more, few) == ["sources.b is not there, was 2"]


def test_a_limit_that_leaves_out_no_product_is_none() -> None:
    facts: Facts = {ROWS_IN_MEMORY: (200_000, 150), "params:seed": (41,)}
    assert without_limits(facts, 600) == {ROWS_IN_MEMORY: (150,), "params:seed": (41,)}
    assert without_limits(facts, 150) == {"params:seed": (41,)}
    assert without_limits(facts, None) == facts


def test_a_limit_that_comes_or_goes_is_a_difference() -> None:
    few: Facts = {ROWS_IN_MEMORY: (150,)}
    assert other_limit({}, few, is_whole=False) == ["compute.rows_in_memory is 150, was not there"]
    assert other_limit(few, {}, is_whole=True) == ["compute.rows_in_memory is not there, was 150"]
    assert not other_limit(few, {}, is_whole=False)
    assert not other_limit(few, few, is_whole=True)
    assert not other_limit({}, {}, is_whole=True)
    assert not not_known({}, few)


def test_raw_files_are_no_parameters() -> None:
    facts: Facts = {"params:seed": (41,), "parameters": ({},), "train_products": ({"files": {}},)}
    assert list(raw_files(facts)) == ["train_products"]


def test_settings_that_only_another_release_records_are_no_difference() -> None:
    file = {"a.csv": "0f"}
    earlier = {"train_products": ({"files": file, "read with": {"labelled": True, "in_pieces": False}},)}
    today = {"train_products": ({"files": file, "read with": {"labelled": True, "rows": "all"}},)}
    assert not differences(earlier, today)
    bare = {"train_products": ({"files": file, "read with": {}},)}
    assert differences(earlier, bare) == ["train_products (labelled) has changed"]
    assert not differences(bare, today)
