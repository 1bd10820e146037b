"""Likely mistakes in product tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.checks.product_checks import (
    GARBLED,
    suspicions_of_products,
    suspicious_prices,
)
from price_fusion.data.checks.suspicions import Suspicion
from price_fusion.parameters import CheckParameters

ROWS = 200


def products(**columns: Any) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "sample_id": np.arange(ROWS) + 1_000,
            "catalog_content": [f"Item Name: Crème brûlée, 5°, “N° {row}”" for row in range(ROWS)],
            "image_link": [f"https://pictures.example/{row}.jpg" for row in range(ROWS)],
            "price": np.exp(generator.normal(2.7, 1.0, ROWS)),
        }
        | columns
    )


def found(frame: pd.DataFrame) -> dict[str, Suspicion]:
    return {one.check: one for one in suspicions_of_products(frame, CheckParameters(), "train_products")}


def is_garbled(text: str) -> bool:
    return bool(pd.Series([text]).str.contains(GARBLED, regex=True).iloc[0])


def test_nothing_is_said_of_clean_products() -> None:
    assert found(products()) == {}
    assert found(products().drop(columns="price")) == {}


@given(
    high=st.sets(st.integers(0, ROWS // 2 - 1), max_size=1),
    low=st.sets(st.integers(ROWS // 2, ROWS - 1), max_size=1),
    seed=st.integers(0, 9),
)
def test_exactly_the_planted_prices_are_suspicious(high: set[int], low: set[int], seed: int) -> None:
    prices = np.exp(np.random.default_rng(seed).normal(2.7, 1.0, ROWS))
    prices[list(high)] = 1e7
    prices[list(low)] = 1e-5
    too_high, too_low = suspicious_prices(prices, 100)
    assert (set(too_high.tolist()), set(too_low.tolist())) == (high, low)


def test_a_factor_without_bound_suspects_nothing() -> None:
    too_high, too_low = suspicious_prices(np.array([1e-30, 1.0, 1e30]), 1e308)
    assert not len(too_high)
    assert not len(too_low)


def test_prices_are_reported_with_ids() -> None:
    prices = products()["price"].to_numpy().copy()
    prices[3], prices[5] = 2e6, 1e-4
    suspicions = found(products(price=prices))
    assert set(suspicions) == {"price_too_high", "price_too_low"}
    assert str(suspicions["price_too_high"]) == (
        "train_products, price: prices above 100 x the 99.9 % quantile (2,000,000): 1 of 200 products (ids 1003). "
        "Check the currency and the decimal point."
    )
    assert suspicions["price_too_low"].examples == (1_005,)


def test_one_price_for_all_is_reported() -> None:
    suspicions = found(products(price=np.full(ROWS, 9.99)))
    assert set(suspicions) == {"one_price"}
    assert "one price in all rows (9.99): 200 of 200 products. A model learns nothing" in str(suspicions["one_price"])


def test_mistaken_encodings_are_reported() -> None:
    texts = products()["catalog_content"].tolist()
    texts[7] = "Item Name: Ken\u00e2\u20ac\u2122s sauce"
    texts[9] = "saut\ufffding"
    suspicion = found(products(catalog_content=texts))["garbled_text"]
    assert (suspicion.count, suspicion.examples) == (2, (1_007, 1_009))
    assert "Ken\u00e2\u20ac\u2122s" in suspicion.found


@given(
    before=st.text(st.characters(max_codepoint=0x7F)),
    special=st.one_of(
        st.characters(min_codepoint=0xA0, max_codepoint=0xFF), st.sampled_from("\u2019\u2122\u2026😀\ufffd")
    ),
    after=st.text(st.characters(max_codepoint=0x7F)),
    mistaken_for=st.sampled_from(["latin-1", "cp1252"]),
)
def test_every_text_decoded_wrongly_is_found(before: str, special: str, after: str, mistaken_for: str) -> None:
    text = before + special + after
    assert is_garbled(text) == (special == "\ufffd")
    assert is_garbled(text.encode().decode(mistaken_for, errors="replace"))


@pytest.mark.parametrize("text", ["Crème brûlée", "MAÇÃ", "Â la carte", "â", "naïve \u201cquoted\u201d ™", "日本語"])
def test_texts_as_they_should_be_are_not(text: str) -> None:
    assert not is_garbled(text)


def test_empty_texts_are_found() -> None:
    texts = products()["catalog_content"].tolist()
    texts[2], texts[9] = "", " \n"
    assert found(products(catalog_content=texts))["empty_text"].examples == (1_002, 1_009)


@pytest.mark.parametrize(
    ("column", "check"), [("catalog_content", "repeated_text"), ("image_link", "repeated_image_link")]
)
@pytest.mark.parametrize("copies", [9, 10])
def test_values_of_many_products_are_found(column: str, check: str, copies: int) -> None:
    values = products()[column].tolist()
    values[50 : 50 + copies] = ["No description"] * copies
    suspicions = found(products(**{column: values}))
    assert set(suspicions) == ({check} if copies == 10 else set())
    if suspicions:
        assert (suspicions[check].count, suspicions[check].examples) == (10, (1_050, 1_051, 1_052, 1_053, 1_054))


def test_several_repeated_links_are_one_suspicion() -> None:
    links = products()["image_link"].tolist()
    links[:10], links[20:50] = ["none.jpg"] * 10, ["blank.jpg"] * 30
    suspicion = found(products(image_link=links))["repeated_image_link"]
    assert (suspicion.count, suspicion.examples[0]) == (40, 1_020)
    assert "'blank.jpg' and 1 further one(s)" in suspicion.found


def test_empty_links_are_nobodys() -> None:
    assert found(products(image_link=[""] * ROWS)) == {}


@pytest.mark.parametrize("odd", ["sample_id", "Total", "nan", "1.0", "1.23E+11"])
def test_an_id_unlike_the_others(odd: str) -> None:
    ids = [str(1_000 + row) for row in range(ROWS)]
    assert "odd_id" not in found(products(sample_id=np.array(ids)))
    suspicion = found(products(sample_id=np.array([*ids[:-1], odd])))["odd_id"]
    assert (suspicion.count, suspicion.of, suspicion.examples) == (1, ROWS, (odd,))


def test_ids_that_a_spreadsheet_has_rounded() -> None:
    rounded = products(sample_id=np.array([f"{1 + row % 9}.2{row:03}E+11" for row in range(ROWS)]))
    assert found(rounded)["odd_id"].count == ROWS
    assert "odd_id" not in found(products(sample_id=np.array([f"SKU-{row}E+" for row in range(ROWS)])))
