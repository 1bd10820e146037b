"""Categories as frames hold them, and as the model knows them."""

from __future__ import annotations

import doctest
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data import categories
from price_fusion.data.categories import as_written, warn_of_unknown, warn_of_unknown_in_tables
from price_fusion.errors import DataError
from price_fusion.parameters import ColumnSourceParameters, SourceParameters

TRUTH, SIZES = ("false", "true"), ("007", "5", "5.10", "XL")
READINGS: dict[str, dict[str, Any]] = {
    "as the pipelines do": {"dtype": str, "keep_default_na": False},
    "text": {"dtype": str},
    "guessed": {},
    "nullable": {"dtype_backend": "numpy_nullable"},
    "arrow": {"dtype_backend": "pyarrow"},
    "categories": {"dtype": "category"},
}


def facts(**vocabulary: tuple[str, ...]) -> ColumnSourceParameters:
    return ColumnSourceParameters(
        kind="columns", group="facts", categorical=tuple(vocabulary), vocabulary=vocabulary, numeric=("weight",)
    )


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    ("values", "vocabulary"),
    [
        (["true", "false", "true"], TRUTH),
        (["TRUE", "", "FALSE"], ("FALSE", "TRUE")),
        (["5", "007", "5"], SIZES),
        (["5", "", "007"], SIZES),
        (["5", "5.10", "XL"], SIZES),
        (["5.10", "", "007"], SIZES),
        (["1", "0", ""], ("0", "1")),
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
    ],
)
def test_a_file_gives_the_same_categories_however_it_is_read(
    reading: str, values: list[str], vocabulary: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    text = "value,other\n" + "".join(f"{value},x\n" for value in values)
    column = pd.read_csv(io.StringIO(text), **READINGS[reading])["value"]
    assert as_written(column, vocabulary, "size").tolist() == values
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pd.Series([True, None, "true", "XL"], dtype=object), ["true", "", "true", "XL"]),
        (pd.Series([5, "5", 5.0, 7, pd.NA], dtype=object), ["5", "5", "5", "007", ""]),
        (pd.Series([5.1, np.nan], dtype=np.float32), ["5.10", ""]),
        (pd.Series([8, 5], dtype="Int64"), ["8", "5"]),  # an 8 is no category, and stays one
        (pd.Series([[1, 2], b"5", b"\xff"], dtype=object), ["[1, 2]", "b'5'", "b'\\xff'"]),
        (pd.Series([], dtype=object), []),
        (pd.Series([], dtype=bool), []),
    ],
)
def test_each_value_is_the_category_that_reads_as_it_does(given: pd.Series[Any], expected: list[str]) -> None:
    assert as_written(given, (*TRUTH, *SIZES), "size").tolist() == expected


def test_truths_are_no_numbers() -> None:
    assert as_written(pd.Series([True, False]), ("0", "1"), "size").tolist() == ["True", "False"]
    assert as_written(pd.Series([1, 0]), TRUTH, "size").tolist() == ["1", "0"]


def test_what_may_be_several_categories_is_refused() -> None:
    message = (
        r"size: found 7, which may be any of the categories '007', '7', expected text\. Read the file as text: pd\."
    )
    with pytest.raises(DataError, match=message):
        as_written(pd.Series([7, 8]), ("007", "7", "8"), "size")
    assert as_written(pd.Series(["7", "007"]), ("007", "7"), "size").tolist() == ["7", "007"]
    assert as_written(pd.Series([8]), ("007", "7", "8"), "size").tolist() == ["8"]


@pytest.mark.parametrize("dtype", ["str", object])
def test_missing_values_are_warned_of_where_a_category_reads_as_one(
    dtype: Any, caplog: pytest.LogCaptureFixture
) -> None:
    column = pd.Series(["EU", None], dtype=dtype)
    assert as_written(column, ("EU", "US"), "grade").tolist() == ["EU", ""]
    assert caplog.text == ""
    assert as_written(column, ("EU", "NA"), "grade").tolist() == ["EU", ""]
    [said] = caplog.messages
    assert said.startswith("grade: 1 value(s) are missing and count as empty fields, not as the category 'NA'")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=6))
def test_text_is_never_changed(words: list[str]) -> None:
    assert as_written(pd.Series(words, dtype="str"), words[1:], "size").tolist() == words
    assert as_written(pd.Series(words, dtype=object), words[1:], "size").tolist() == words


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["TRUE", "FALSE", ""], "grade: of 2 different values, the model knows none as categories"),
        ([*map(str, range(30)), "true"], "grade: of 31 different values, the model knows 1 as categories"),
        (["true", "maybe"], ""),
        (["", ""], ""),
        ([], ""),
    ],
)
def test_values_next_to_none_of_which_is_known_are_warned_of(
    found: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_unknown(found, TRUTH, "grade")
    assert (said in caplog.text) if said else not caplog.text
    if said:
        assert "it knows 'false', 'true'." in caplog.text


def test_tables_of_new_products_are_warned_of_by_column(caplog: pytest.LogCaptureFixture) -> None:
    words = SourceParameters(width=3, group="text")
    model = {"facts": facts(colour=("blue", "red"), organic=TRUTH), "words": words, "more": facts(brand=("a",))}
    tables = {"facts": facts(colour=("red", "white"), organic=("TRUE",)), "words": words}
    warn_of_unknown_in_tables(tables, model, "test_products")
    [said] = caplog.messages
    assert said.startswith("test_products: column 'organic': of 1 different values, the model knows none")


def test_its_examples() -> None:
    results = doctest.testmod(categories)
    assert results.attempted
    assert not results.failed
