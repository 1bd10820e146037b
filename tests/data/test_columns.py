"""Column sources: what product tables say, as numbers and codes, and refused where they say something else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data import columns as columns_module
from price_fusion.data.columns import codes, column_matrix, completed, draft_columns, translated
from price_fusion.data.quantity.amounts import CATEGORICAL, NUMERIC, quantity_columns
from price_fusion.data.readers.column_names import ColumnNames, joined
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.errors import DataError
from price_fusion.parameters import ColumnSourceParameters

NAN = float("nan")


def declared(**values: Any) -> ColumnSourceParameters:
    return ColumnSourceParameters.model_validate({"kind": "columns", "group": "facts"} | values)


FACTS = declared(numeric=["weight"], categorical=["colour"])


def products(**columns: list[str]) -> pd.DataFrame:
    """Product tables as they are read: ids from 10 on, all else text."""
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({"sample_id": np.arange(10, 10 + rows)} | columns)


def matrix_of(frame: pd.DataFrame, declaration: ColumnSourceParameters) -> np.ndarray:
    draft = draft_columns(frame, declaration, "train.csv")
    np.testing.assert_array_equal(draft.raw.ids, frame["sample_id"])
    assert draft.raw.vectors.dtype == np.float32
    return np.asarray(draft.raw.vectors)


def test_numbers_come_first_and_then_codes_of_categories() -> None:
    frame = products(weight=["1.5", "", " 2e3 ", "-4"], colour=["red", "blue", "", " red "])
    # Codes are 1 + the place among the sorted categories: blue, red.
    expected = [[1.5, 2], [NAN, 1], [2000, 0], [-4, 2]]
    np.testing.assert_array_equal(matrix_of(frame, FACTS), np.array(expected, np.float32))
    whole = draft_columns(frame, FACTS, "train.csv").declaration
    assert isinstance(whole, ColumnSourceParameters)
    assert whole.vocabulary == {"colour": ("blue", "red")}
    assert (whole.width, whole.embedding_width, whole.structural_columns) == (2, 0, 2)


@pytest.mark.parametrize("missing", ["", "  ", "nan", "NaN", "inf", "-inf", "1e39"])
def test_what_is_no_finite_number_is_missing(missing: str) -> None:
    matrix = matrix_of(products(weight=[missing, "1"], colour=["a", "b"]), FACTS)
    assert np.isnan(matrix[0, 0])
    assert matrix[1, 0] == 1


def test_text_among_numbers_is_refused_with_its_products() -> None:
    weights = ["1", "heavy", "", "2 kg", *["light"] * 5]
    frame = products(weight=weights, colour=["red"] * 9)
    with pytest.raises(DataError) as caught:
        draft_columns(frame, FACTS, "train.csv")
    message = str(caught.value)
    assert "train.csv: column 'weight' holds 7 value(s) that are not numbers" in message
    assert "11: 'heavy', 13: '2 kg', 14: 'light', 15: 'light', 16: 'light')" in message
    assert "declare the column as categorical (parameters.yml, sources)" in message


def test_columns_that_are_not_there_are_named_with_those_that_are() -> None:
    frame = products(weight=["1"], brand=["x"])
    with pytest.raises(DataError) as caught:
        draft_columns(frame, declared(numeric=["weight", "size"], categorical=["brands"]), "test.csv")
    message = str(caught.value)
    assert "lacks the column(s) size, brands that a source reads (did you mean 'brand' for 'brands'?)" in message
    assert "found sample_id, weight, brand" in message
    with pytest.raises(
        DataError, match=r"test\.csv: lacks the column\(s\) catalog_content of the text that a source parses"
    ):
        draft_columns(frame, declared(parse="quantity"), "test.csv")


def test_an_id_is_no_category(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "MOST_CATEGORIES", 3)
    draft_columns(products(colour=["a", "b", "c", ""]), declared(categorical=["colour"]), "train.csv")
    with pytest.raises(DataError, match=r"column 'colour' has 4 categories, expected at most 3"):
        draft_columns(products(colour=list("abcd")), declared(categorical=["colour"]), "train.csv")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (products(weight=["3", "3.0"], colour=["a", "b"]), "one and the same value everywhere in weight"),
        (products(weight=["1", "2"], colour=["a", "a"]), "one and the same value everywhere in colour"),
        (products(weight=["", ""], colour=["a", "b"]), "nothing but missing values in weight"),
        (products(weight=["3", ""], colour=["", "b"]), ""),
        (products(weight=["3"], colour=["b"]), ""),
    ],
)
def test_columns_that_tell_nothing_are_warned_of(
    frame: pd.DataFrame, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        draft_columns(frame, FACTS, "train.csv")
    assert expected in caplog.text
    assert bool(caplog.text) == bool(expected)


# --- the parser ------------------------------------------------------------------------------------------------------

TEXTS = [
    "Item Name: Olive Oil, 16.9 Fl Oz (Pack of 2)\nValue: 33.8\nUnit: Fl Oz\n",
    "Item Name: Something nice\n",
    "Item Name: Black Tea, 100 Count\nValue: 100\nUnit: Count\n",
]


def test_quantities_come_before_the_tables_own_columns() -> None:
    frame = products(catalog_content=TEXTS, stars=["1", "2", ""], brand=["b", "a", "b"])
    declaration = declared(parse="quantity", numeric=["stars"], categorical=["brand"])
    draft = draft_columns(frame, declaration, "train.csv")
    whole = draft.declaration
    assert isinstance(whole, ColumnSourceParameters)
    assert whole.numeric == (*NUMERIC, "stars")
    assert whole.categorical == (*CATEGORICAL, "brand")
    assert whole.own_columns == ("stars", "brand")
    parsed = quantity_columns(frame["catalog_content"])
    expected = np.column_stack([*(parsed[name] for name in NUMERIC), [1, 2, NAN]]).astype(np.float32)
    np.testing.assert_array_equal(draft.raw.vectors[:, : len(whole.numeric)], expected)
    # What the parser calls unknown is an empty field.
    assert whole.vocabulary["unit_kind"] == ("count", "volume")
    assert draft.raw.vectors[:, len(whole.numeric)].tolist() == [2, 0, 1]
    assert draft.raw.vectors[:, -1].tolist() == [2, 1, 2]
    # A complete declaration reads the same products the same way.
    np.testing.assert_array_equal(matrix_of(frame, whole), draft.raw.vectors)


@pytest.mark.parametrize("own", [{"numeric": ["weight"]}, {"categorical": ["unit_kind"]}, {"numeric": ["unit_kind"]}])
def test_a_column_that_the_parsers_would_hide_is_refused(own: dict[str, list[str]]) -> None:
    frame = products(catalog_content=TEXTS, weight=["1", "2", ""], unit_kind=["a"] * 3)
    name = next(iter(own.values()))[0]
    with pytest.raises(DataError, match=rf"train\.csv: column\(s\) {name} of a source have the names .* 'quantity'"):
        draft_columns(frame, declared(parse="quantity", **own), "train.csv")


@pytest.mark.parametrize("template", [None, "{title} -- {about}"])
def test_a_declaration_says_which_columns_of_the_shop_it_reads_and_reads_them(template: str | None) -> None:
    own = products(title=["Tea 250 g", "nan", "Oil 2 l"], about=["Black.", "", "-"], stars=["1", "2", "3"])
    names = ColumnNames("sku", "cost", ("title", "about"), None, template)
    inside = pd.DataFrame({"sample_id": own["sample_id"], "stars": own["stars"]})
    inside["catalog_content"] = joined({name: own[name] for name in names.text}, template)
    inside.attrs |= names.attributes
    whole = completed(inside, declared(parse="quantity", numeric=["stars"]), "train.csv")
    assert whole.product_columns == ("title", "about", "stars")
    assert ColumnSourceParameters.model_validate(json.loads(whole.model_dump_json())) == whole
    expected = column_matrix(inside, whole, "train.csv")
    np.testing.assert_array_equal(np.isnan(expected[:, NUMERIC.index("amount")]), [False, True, False])
    np.testing.assert_array_equal(column_matrix(own, whole, "products"), expected)
    with pytest.raises(DataError, match=r"products: lacks the column\(s\) about .*'About' for 'about'"):
        column_matrix(own.rename(columns={"about": "About"}), whole, "products")


def test_text_of_the_usual_name_leaves_no_trace_in_a_declaration() -> None:
    whole = completed(products(catalog_content=["Tea, 250 g"]), declared(parse="quantity"), "train.csv")
    assert whole.product_columns == ("catalog_content",)
    assert not {"text_columns", "text_template"} & set(whole.model_dump())


def test_rows_of_the_parser_are_those_of_the_products_whatever_their_index() -> None:
    frame = products(catalog_content=TEXTS, brand=["a", "b", "c"])
    declaration = declared(parse="quantity", categorical=["brand"])
    straight = matrix_of(frame, declaration)
    np.testing.assert_array_equal(matrix_of(frame.iloc[[2, 0, 1]], declaration), straight[[2, 0, 1]])


def test_texts_without_quantities_are_warned_of_and_have_codes_of_unknown(caplog: pytest.LogCaptureFixture) -> None:
    frame = products(catalog_content=["Item Name: Something nice", "Item Name: Another good thing"])
    with caplog.at_level(logging.WARNING):
        matrix = matrix_of(frame, declared(parse="quantity"))
    assert "train.csv: no amount such as '250 g' in the title or first line of catalog_content" in caplog.text
    assert "missing values" not in caplog.text
    assert (matrix[:, len(NUMERIC) :] == 0).all()
    assert np.isnan(matrix[:, : NUMERIC.index("amount") + 1]).all()


# --- vocabularies ----------------------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["", *"abcdef"]), min_size=1, max_size=12)


def test_codes_are_places_in_a_vocabulary() -> None:
    assert codes(pd.Series(["b", "a", "z", ""]), ("a", "b")).tolist() == [2, 1, 0, 0]
    assert codes(pd.Series(["b"]), ()).tolist() == [0]


@given(train=WORDS, test=WORDS)
def test_codes_translate_to_the_same_category_or_to_unknown(train: list[str], test: list[str]) -> None:
    declaration = declared(categorical=["colour"])
    known = completed(products(colour=train), declaration, "train.csv")
    draft = draft_columns(products(colour=test), declaration, "test.csv")
    stored = draft.declaration
    assert isinstance(stored, ColumnSourceParameters)
    moved = translated(np.asarray(draft.raw.vectors), stored, known)
    categories = ["", *known.vocabulary["colour"]]
    assert [categories[int(code)] for code in moved[:, 0]] == [word if word in train else "" for word in test]
    # The same as reading the products with the model's own vocabulary at once.
    np.testing.assert_array_equal(moved, column_matrix(products(colour=test), known, "test.csv"))


def test_one_column_translates_and_the_others_stay() -> None:
    values = {"numeric": ("weight",), "categorical": ("colour", "shape")}
    stored = declared(**values, vocabulary={"colour": ("red",), "shape": ("flat", "round")})
    wanted = declared(**values, vocabulary={"colour": ("blue", "red"), "shape": ("flat", "round")})
    matrix = np.array([[NAN, 1, 2], [5, 0, 1]], np.float32)
    before = matrix.copy()
    np.testing.assert_array_equal(translated(matrix, stored, wanted), [[NAN, 2, 2], [5, 0, 1]])
    np.testing.assert_array_equal(matrix, before)
    assert translated(matrix, stored, stored) is matrix


def test_a_vocabulary_that_is_declared_is_kept() -> None:
    declaration = declared(categorical=["colour"], vocabulary={"colour": ["red", "gold"]})
    frame = products(colour=["blue", "gold", "red"])
    draft = draft_columns(frame, declaration, "train.csv")
    assert draft.declaration == declaration
    assert draft.raw.vectors[:, 0].tolist() == [0, 2, 1]


# --- on disk ---------------------------------------------------------------------------------------------------------


def test_a_table_of_columns_is_read_as_it_was_written(new_folder: Callable[[], Path]) -> None:
    frame = products(weight=["1.5", "", "70000.25"], colour=["red", "blue", ""])
    draft = draft_columns(frame, FACTS, "train.csv")
    folder = new_folder() / "facts"
    write_table(folder, "facts", draft)
    table = EmbeddingTable(folder)
    assert (table.rows, table.width, table.structural_columns, table.dtype) == (3, 0, 2, "float32")
    assert table.declaration == draft.declaration
    assert [shard.shape for shard in table.vectors] == [(3, 0)]
    np.testing.assert_array_equal(table.structural, np.array([[1.5, 2], [NAN, 1], [70000.25, 0]], np.float32))
    assert table.rows_of(np.array([12, 7, 10])).tolist() == [2, -1, 0]
    assert sorted(path.name for path in folder.iterdir()) == ["ids.npy", "manifest.json", "structural.npy"]


def test_the_fingerprint_tells_values_apart(new_folder: Callable[[], Path]) -> None:
    def fingerprint(**columns: list[str]) -> str:
        folder = new_folder() / "facts"
        write_table(folder, "facts", draft_columns(products(**columns), FACTS, "train.csv"))
        return EmbeddingTable(folder).fingerprint

    first = fingerprint(weight=["1", "2"], colour=["a", "b"])
    assert fingerprint(weight=["1.0", "2"], colour=["a", "b"]) == first
    assert fingerprint(weight=["1", "3"], colour=["a", "b"]) != first
    assert fingerprint(weight=["1", "2"], colour=["a", "c"]) != first  # the same codes, of other categories
