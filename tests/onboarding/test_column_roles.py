"""Roles of columns, guessed from headers as shops have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from price_fusion.data.readers.layout import Layout
from price_fusion.onboarding.column_headings import words_of
from price_fusion.onboarding.column_roles import Guess, Roles, near_miss_of_price
from price_fusion.onboarding.column_roles import guess_roles as guess_roles_of
from price_fusion.onboarding.column_values import ColumnValues

ROWS = 40
NUMBERS = [f"{3 + number * 1.25:.2f}" for number in range(ROWS)]
IDS = [f"A-{number:04d}" for number in range(ROWS)]
TEXTS = [f"a rather long description of product number {number}" for number in range(ROWS)]
TITLES = [f"Product {number}" for number in range(ROWS)]
LINKS = [f"https://shop.example/{number}.jpg" for number in range(ROWS)]
KINDS = [("tea", "cup", "pot")[number % 3] for number in range(ROWS)]
WEIGHTS = [str(100 + 7 * (number % 11)) for number in range(ROWS)]


def guess_roles(columns: Mapping[str, Sequence[str]], said: Mapping[str, str] | None = None) -> Roles:
    def settle(role: str, guess: Guess) -> Guess:
        return Guess(said[role], "said") if said and role in said else guess

    return guess_roles_of({name: ColumnValues(texts) for name, texts in columns.items()}, settle)


def table(**columns: Sequence[str]) -> dict[str, Sequence[str]]:
    return columns


@pytest.mark.parametrize(
    ("identity", "price", "image"),
    [
        ("sku", "price_eur", "photo"),
        ("sample_id", "price", "image_link"),
        ("Artikelnummer", "Preis", "Bild"),
        ("id", "Sale Price", "Image URL"),
        ("ASIN", "listPrice", "imgUrl"),
        ("product_id", "Price (USD)", "thumbnail"),
        ("item_id", "prix", "picture_1"),
        ("Handle", "Variant Price", "Image Src"),
        ("uniq_id", "selling_price", "image"),
        ("référence", "précio", "foto"),
        ("Artikelnr", "VK brutto", "Bild"),
        ("ProductID", "Preis (€)", "Photo"),
        ("EAN", "target", "img"),
        ("ISBN", "Cena (PLN)", "Zdjęcie okładki"),
    ],
)
def test_headers_of_shops(identity: str, price: str, image: str) -> None:
    columns = {
        "note": [""] * ROWS,
        identity: IDS,
        "title": TITLES,
        image: LINKS,
        price: NUMBERS,
        "body": TEXTS,
        "kind": KINDS,
    }
    found = guess_roles(columns)
    assert (found.id.value, found.price.value, found.image.value) == (identity, price, image)
    assert found.id.sure
    assert found.text == ("title", "body")
    assert found.categorical == ("kind",)
    assert found.left_out == {"note": "empty"}


def test_numbers_and_what_tells_the_price() -> None:
    found = guess_roles(
        table(sku=IDS, price=NUMBERS, weight_g=WEIGHTS, msrp=NUMBERS[::-1], ean=[str(40000 + n) for n in range(ROWS)])
    )
    assert found.numeric == ("weight_g",)
    assert found.left_out == {"msrp": "it may tell the price", "ean": "another id"}


@pytest.mark.parametrize("codes", [["007", "7", "012", "100"], ["001", "007", "010", "023", "099"], ["00", "1", "2"]])
def test_numbers_with_leading_zeros_are_categories(codes: list[str]) -> None:
    of_each = [codes[number % len(codes)] for number in range(ROWS)]
    found = guess_roles(table(sku=IDS, line_code=of_each, price=NUMBERS))
    assert (found.numeric, found.categorical, found.price.value) == ((), ("line_code",), "price")
    assert guess_roles(table(sku=IDS, line_code=of_each)).price.value is None


def test_many_numbers_with_leading_zeros_are_left_out() -> None:
    codes = [f"{number // 2:03d}" for number in range(ROWS)]
    found = guess_roles(table(sku=IDS, title_code=codes, price=NUMBERS, ean=[f"{n:08d}" for n in range(ROWS)]))
    assert (found.numeric, found.categorical, found.text) == ((), (), ())
    assert found.left_out == {
        "title_code": "codes with leading zeros, 20 different values: too many for categories",
        "ean": "another id",
    }


def test_zero_and_fractions_have_no_leading_zeros() -> None:
    shares = [("0", "0.5", "0.75", "10")[number % 4] for number in range(ROWS)]
    assert guess_roles(table(sku=IDS, share=shares, price=NUMBERS)).numeric == ("share",)
    with_comma = [text.replace(".", ",") for text in NUMBERS]
    assert guess_roles(table(sku=IDS, share=[text.replace(".", ",") for text in shares], price=with_comma)).numeric == (
        "share",
    )


@pytest.mark.parametrize(
    ("column", "currency", "sure"),
    [
        ("price_eur", "EUR", True),
        ("Price (GBP)", "GBP", True),
        ("priceCHF", "CHF", True),
        ("Preis (€)", "EUR", True),
        ("Price ($)", "USD", False),
        ("price", "USD", False),
    ],
)
def test_the_currency_is_that_of_the_name(column: str, currency: str, *, sure: bool) -> None:
    found = guess_roles({"sku": IDS, column: NUMBERS}).currency
    assert (found.value, found.sure) == (currency, sure)


@pytest.mark.parametrize("column", ["cena_pln", "Cena (PLN)", "preis_chf", "prezzo_eur", "pris_sek", "cenaBrutto"])
@pytest.mark.parametrize("other", ["weight_g", "cost", "koszt_pln", "marza_eur", "amount_left"])
def test_a_word_for_prices_in_any_language_leaves_no_doubt(column: str, other: str) -> None:
    found = guess_roles({"sku": IDS, other: NUMBERS[::-1], column: NUMBERS}).price
    assert (found.value, found.sure) == (column, True)


@pytest.mark.parametrize("column", ["label_size", "koszt_pln", "amount_left"])
def test_a_name_of_something_near_a_price_is_a_question(column: str) -> None:
    found = guess_roles({"sku": IDS, column: NUMBERS}).price
    assert (found.value, found.sure) == (column, False)


@pytest.mark.parametrize(
    "code",
    [
        "EUR",
        "USD",
        "GBP",
        "CHF",
        "JPY",
        "PLN",
        "CZK",
        "SEK",
        "NOK",
        "DKK",
        "HUF",
        "RON",
        "INR",
        "BRL",
        "IDR",
        "THB",
        "UAH",
        "SAR",
    ],
)
def test_codes_of_currencies(code: str) -> None:
    found = guess_roles({"sku": IDS, f"cena_{code.lower()}": NUMBERS}).currency
    assert (found.value, found.sure) == (code, True)


def test_two_prices_are_a_question() -> None:
    found = guess_roles(table(sku=IDS, shop_price=NUMBERS, web_price=NUMBERS[::-1])).price
    assert not found.sure
    assert {found.value, *found.others} == {"shop_price", "web_price"}


def test_a_column_of_numbers_without_a_telling_name_is_a_question() -> None:
    found = guess_roles(table(a=IDS, b=NUMBERS))
    assert (found.price.value, found.price.sure) == ("b", False)
    assert (found.id.value, found.id.sure) == ("a", False)


def test_among_numbers_without_a_telling_name_costs_are_nearer_to_the_price_than_weights() -> None:
    found = guess_roles(table(sku=IDS, weight=NUMBERS, uvp=NUMBERS[::-1])).price
    assert (found.value, found.others, found.sure) == ("uvp", ("weight",), False)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["1,50", "on request", ""], "has 'on request', not a number"),
        (["1,50 €", "2,50 €", "3,50 €", "4,50 €"], "has '1,50 €', '2,50 €', '3,50 €', ..., none of them a number"),
        (["1,50", "0,00"], "has values that are not above 0, or one value everywhere"),
        (["", ""], "is empty"),
    ],
)
def test_prices_that_will_not_do_are_named(values: list[str], why: str) -> None:
    columns = {"sku": ColumnValues(IDS[: len(values)]), "Preis": ColumnValues(values)}
    assert near_miss_of_price(columns) == f"'Preis' is the likeliest, but {why}"
    assert near_miss_of_price({"sku": ColumnValues(IDS)}) == ""


def test_what_was_said_is_not_guessed() -> None:
    found = guess_roles(table(sku=IDS, code=IDS, price=NUMBERS, cost=NUMBERS), {"id": "code", "price": "cost"})
    assert (found.id.value, found.price.value, found.price.sure) == ("code", "cost", True)


@pytest.mark.parametrize(
    ("values", "layout"),
    [
        (["1.50", "", "1299"], Layout()),
        (["1,50", "12,99"], Layout(decimal=",")),
        (["1,299.50", "3.00"], Layout(thousands=",")),
        (["1.299,50", "3,00"], Layout(decimal=",", thousands=".")),
        (["1.50 EUR"], None),
        (["", ""], None),
    ],
)
def test_separators_of_numbers(values: list[str], layout: Layout | None) -> None:
    assert ColumnValues(values).layout == layout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("priceEUR", ("price", "eur")),
        ("Price (EUR)", ("price", "eur")),
        ("imgURL", ("img", "url")),
        ("précio", ("precio",)),
    ],
)
def test_words_of_names(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words
