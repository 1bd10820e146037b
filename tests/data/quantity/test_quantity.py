"""Quantities of catalog texts: what each wording means, worked out by hand, and what no wording may do."""

import doctest
import logging
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.quantity import amounts, units
from price_fusion.data.quantity.amounts import CATEGORICAL, NUMERIC, quantity_columns
from price_fusion.data.quantity.units import LARGEST, UNKNOWN, parse_unit

NAN = float("nan")
OUNCE, POUND = 28.349523, 453.59237  # grams
FLUID_OUNCE, PINT, QUART, GALLON = 29.573530, 473.17647, 946.35295, 3785.4118  # millilitres
QUANTITIES = ("weight", "volume", "count", "title_weight", "title_volume", "title_count", "pack", "pieces", "amount")


def text(title, value=None, unit=None):
    fields = {"Item Name": title, "Bullet Point 1": "Made with love", "Value": value, "Unit": unit}
    return "".join(f"{name}: {content}\n" for name, content in fields.items() if content is not None)


def columns_of(texts):
    return pd.DataFrame(quantity_columns(texts))


def parsed(content):
    """Quantities of one text that are there, in their base unit, and the kinds that are known."""
    row = columns_of([content]).iloc[0]
    numbers = {name: float(np.exp(row[name])) for name in QUANTITIES if not np.isnan(row[name])}
    return numbers | {kind: row[kind] for kind in CATEGORICAL if row[kind] != UNKNOWN}


def weight(of, **further):
    """What a text whose fields state a weight in grams says."""
    return {"unit_kind": "weight", "weight": of, "amount_kind": "weight", "amount": of} | further


def volume(of, **further):
    return {"unit_kind": "volume", "volume": of, "amount_kind": "volume", "amount": of} | further


def count(of, **further):
    return {"unit_kind": "count", "count": of, "pieces": of, "amount_kind": "count", "amount": of} | further


UNIT_SPELLINGS = {
    ("weight", OUNCE): "oz|OZ|Oz|oz.|Ounce|ounce|Ounces|20 oz.| OUNCE ",
    ("weight", POUND): "lb|LB|lbs|Lbs.|pound|Pounds",
    ("weight", 1.0): "g|gr|gram|Grams|gramm|GM",
    ("weight", 1e3): "kg|Kilogram|KGs",
    ("weight", 1e-3): "mg|Milligrams",
    (
        "volume",
        FLUID_OUNCE,
    ): "Fl Oz|fl oz|FL Oz|Fl. Oz|fl. oz.|fl.oz|Fluid Ounce|fluid ounces|Fluid Ounce(s)|fl\u00a0oz",
    ("volume", 1.0): "ml|mL|millilitre|Milliliters",
    ("volume", 1e3): "l|L|ltr|Liter|litres",
    ("volume", PINT): "pint|Pt",
    ("volume", QUART): "qt|Quarts",
    ("volume", GALLON): "gal.|Gallon",
    (
        "count",
        1.0,
    ): "count|Count|COUNT|ct|Ct.|each|Each / Pack: 1|ea|pcs|Pack|Jar|bottle|Can|Tea Bags|K-Cups|2.0 K-cups",
}


@pytest.mark.parametrize(("unit", "spellings"), UNIT_SPELLINGS.items(), ids=lambda value: str(value)[:20])
def test_spellings_of_units(unit, spellings):
    assert {spelling: parse_unit(spelling) for spelling in spellings.split("|")} == dict.fromkeys(
        spellings.split("|"), unit
    )


@pytest.mark.parametrize("spelling", ["", "None", "nan", "24", "furlong", "sq ft", "½", "盎司", "/oz"])
def test_no_units(spelling):
    kind, size = parse_unit(spelling)
    assert kind == UNKNOWN
    assert np.isnan(size)


def test_the_examples_in_the_docstrings_run():
    results = doctest.testmod(units)
    assert results.attempted > 0
    assert results.failed == 0


FIELDS = {
    "fluid ounces": (text("Sauce", 72.0, "Fl Oz"), volume(72 * FLUID_OUNCE)),
    "capital Fluid Ounce": (text("Sauce", 16.0, "Fluid Ounce"), volume(16 * FLUID_OUNCE)),
    "ounces": (text("Rice", 32.0, "Ounce"), weight(32 * OUNCE)),
    "pounds": (text("Rice", 2.5, "pound"), weight(2.5 * POUND)),
    "grams": (text("Rice", 500.0, "gramm"), weight(500)),
    "kilograms": (text("Rice", 1.5, "kg"), weight(1500)),
    "millilitres": (text("Oil", 750.0, "millilitre"), volume(750)),
    "litres": (text("Oil", 2.0, "Liters"), volume(2000)),
    "count": (text("Toys", 3.0, "Count"), count(3)),
    "each": (text("Toys", 1.0, "Each / Pack: 1"), count(1)),
    "thousands": (text("Rice", "1,200", "Ounce"), weight(1200 * OUNCE)),
    "no unit": (text("Rice", 12.0, "None"), {}),
    "a number for a unit": (text("Rice", 12.0, "24"), {}),
    "a blank unit": (text("Rice", 12.0, ""), {}),
    "no field of a unit": (text("Rice", 12.0), {}),
    "no field of a value": (text("Rice", unit="Ounce"), {"unit_kind": "weight"}),
    "no value": (text("Rice", "nan", "Ounce"), {"unit_kind": "weight"}),
    "a blank value": (text("Rice", "", "Ounce"), {"unit_kind": "weight"}),
    "zero": (text("Rice", 0.0, "Count"), {"unit_kind": "count"}),
    "negative": (text("Rice", -1.0, "Fl Oz"), {"unit_kind": "volume"}),
    "absurd weight": (text("Rice", 46752.0, "Ounce"), {"unit_kind": "weight"}),
    "absurd count": (text("Rice", 46752.0, "Count"), {"unit_kind": "count"}),
    "infinite": (text("Rice", "1e999", "Ounce"), {"unit_kind": "weight"}),
    "carriage returns": (text("Rice", 32.0, "Ounce").replace("\n", "\r\n"), weight(32 * OUNCE)),
    "the last fields": ("Item Name: Rice\nUnit: box\nValue: great\nValue: 3\nUnit: oz\n", weight(3 * OUNCE)),
    "no title": ("Value: 12\nUnit: Count\n", count(12)),
    "no fields": (
        "Rice 2 lb\nHolds 3 oz a cup",
        {"title_weight": 2 * POUND, "amount": 2 * POUND, "amount_kind": "weight"},
    ),
    "empty": ("", {}),
    "missing": (None, {}),
    "not a number": (NAN, {}),
}


@pytest.mark.parametrize(("content", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields(content, expected):
    assert parsed(content) == pytest.approx(expected)


def of_pack(number, kind, size):
    """What a title says of packs of one size, where no field states a quantity."""
    return {"pack": number, "pieces": number, f"title_{kind}": size, "amount": number * size, "amount_kind": kind}


def sized(kind, size, **further):
    return {f"title_{kind}": size, "amount": size, "amount_kind": kind} | further


def pieces(number, **further):
    return {"title_count": number, "pieces": number, "amount": number, "amount_kind": "count"} | further


TITLES = {
    "Green Salsa, 12 Ounce (Pack of 6)": of_pack(6, "weight", 12 * OUNCE),
    "Green Salsa 12oz, 6-Pack": of_pack(6, "weight", 12 * OUNCE),
    "Green Salsa 12 OZ. 6 pk": of_pack(6, "weight", 12 * OUNCE),
    "Green Salsa, 12 OZ, PK- 6": of_pack(6, "weight", 12 * OUNCE),
    "Green Salsa, 12 Ounce, Six(6) Pack": of_pack(6, "weight", 12 * OUNCE),
    "Stuffed Peppers, 5.5 Pound -- 4 per case.": of_pack(4, "weight", 5.5 * POUND),
    "Stuffed Peppers, 5 Ounce, 12/Carton": of_pack(12, "weight", 5 * OUNCE),
    "Crisps 2-oz Each ( 6 in a Pack )": of_pack(6, "weight", 2 * OUNCE),
    "Crisps 6 Case 10 Ounce": of_pack(6, "weight", 10 * OUNCE),
    "Mustard - Case of 12 - 16 oz": of_pack(12, "weight", 16 * OUNCE),
    "Mustard 16 oz - SET OF 2": of_pack(2, "weight", 16 * OUNCE),
    "Mustard 16 oz - Set of 2.": of_pack(2, "weight", 16 * OUNCE),
    "Soda, 24 Pack of 11.1 FL Bottles": {"pack": 24, "pieces": 24, "amount": 24, "amount_kind": "count"},
    "Mustard, 2 x 14.1 oz": of_pack(2, "weight", 14.1 * OUNCE),
    "Mustard 2x14.1oz": of_pack(2, "weight", 14.1 * OUNCE),
    "Mustard 2 × 400 g": of_pack(2, "weight", 400),  # noqa: RUF001
    "Mustard (11.6 oz x 5)": of_pack(5, "weight", 11.6 * OUNCE),
    "Tonic Water, 8 x 150ml.": of_pack(8, "volume", 150),
    "Tonic Water 8 Pack x 355 mL": of_pack(8, "volume", 355),
    "Noodle Cups, 24/1.5 oz": of_pack(24, "weight", 1.5 * OUNCE),
    "Corn Syrup, 4/1 Gal": of_pack(4, "volume", GALLON),
    "Cookies, 12 Pack of 3.32 Oz Bowls": of_pack(12, "weight", 3.32 * OUNCE),
    "Cookies 3 Packs of 90g": of_pack(3, "weight", 90),
    "Truffles 1/2 lb": sized("weight", POUND / 2),
    "Truffles 1-1/2 lb": sized("weight", 1.5 * POUND),
    "Truffles 1½ lb": sized("weight", 1.5 * POUND),
    "Flour 1,200 g": sized("weight", 1200),
    "Curry 3,53oz": sized("weight", 3.53 * OUNCE),
    "Saffron .75 oz": sized("weight", 0.75 * OUNCE),
    "Crème brûlée — 7\u00a0Oz / 198g": sized("weight", 7 * OUNCE),
    "Bitters 4 fl. oz": sized("volume", 4 * FLUID_OUNCE),
    "Bitters 4 Fluid Ounces": sized("volume", 4 * FLUID_OUNCE),
    "Juice 2L": sized("volume", 2000),
    "Broth 1 quart": sized("volume", QUART),
    "Cream 2 pints": sized("volume", 2 * PINT),
    "Whey Bites 24g Protein 8oz": sized("weight", 8 * OUNCE),
    "Whey Bites, 5 g of Plant-Based Fiber, 8 oz": sized("weight", 8 * OUNCE),
    "Milk Thistle 525MG": {},
    "Cake Board 9 x 12 inch": {},
    "Filter 4x5.65 in": {},
    "Pasta No.81 Vitamin B12 00019G": {},
    "Sauce 0 oz": {},
    "Truck 5000 lb": {},
    "Green   Salsa,   12   Ounce   (Pack   of   6)": of_pack(6, "weight", 12 * OUNCE),
    "Apples 6 - #10 Cans": {},
    "Granola Bars 6 ct": pieces(6),
    "Granola Bars 24ct": pieces(24),
    "Toffee Box of 10": pieces(10),
    "Toffee 1,000 Pieces": pieces(1000),
    "Ceylon Tea 100 tea bags": pieces(100),
    "Ceylon Tea 18 Individually Wrapped Tea Bags": pieces(18),
    "Coffee, 24 Single Serve K-Cups": pieces(24),
    "Coffee, Box of 70 Pods": pieces(70),
    "Ceylon Tea 25 Tea Bags - 3 Pack": {
        "title_count": 25,
        "pack": 3,
        "pieces": 75,
        "amount": 75,
        "amount_kind": "count",
    },
    "Coffee, 5 x 16 Capsules": {"title_count": 16, "pack": 5, "pieces": 80, "amount": 80, "amount_kind": "count"},
    "Buns, 3 Packs of 12": {"title_count": 12, "pack": 3, "pieces": 36, "amount": 36, "amount_kind": "count"},
    "Iced Tea 16.9oz 12pk, 12 Count": of_pack(12, "weight", 16.9 * OUNCE) | {"title_count": 12},
    "Ceylon Tea 20 tea bags, 1.4 oz": sized("weight", 1.4 * OUNCE, title_count=20, pieces=20),
    "Cereal Bars - 1.3 oz - 16 ct": sized("weight", 1.3 * OUNCE, title_count=16, pieces=16, amount=16 * 1.3 * OUNCE),
    "Bagels 13 oz, 6 ct": sized("weight", 13 * OUNCE, title_count=6, pieces=6),
    "Stew - 20 oz (2 Cans)": sized("weight", 20 * OUNCE, title_count=2, pieces=2, amount=40 * OUNCE),
    "Seltzer 8 fl oz bottles - 4 count": sized(
        "volume", 8 * FLUID_OUNCE, title_count=4, pieces=4, amount=32 * FLUID_OUNCE
    ),
    "Oat Bars 5 Count, 7 Ounce (Pack of 6)": of_pack(6, "weight", 7 * OUNCE) | {"title_count": 5, "pieces": 30},
    "Shrimp 31-35 count 2 lb": sized("weight", 2 * POUND),
}


@pytest.mark.parametrize(("title", "expected"), TITLES.items(), ids=TITLES)
def test_titles(title, expected):
    assert parsed(text(title)) == pytest.approx(expected)
    assert parsed(title) == pytest.approx(expected)


BOTH = {
    "the fields state the total": (
        text("Cookies, 8 Ounce (Pack of 4)", 32.0, "Ounce"),
        weight(32 * OUNCE, title_weight=8 * OUNCE, pack=4, pieces=4),
    ),
    "the fields state one item": (
        text("Cookies, 8 Ounce (Pack of 4)", 8.0, "Ounce"),
        weight(8 * OUNCE, title_weight=8 * OUNCE, pack=4, pieces=4, amount=32 * OUNCE),
    ),
    "one item, converted": (
        text("Cookies, 500 g, 2 pk", 17.6, "Ounce"),
        weight(17.6 * OUNCE, title_weight=500, pack=2, pieces=2, amount=1000),
    ),
    "a total that the title does not explain": (
        text("Soup 15 Ounce", 45.0, "Ounce"),
        weight(45 * OUNCE, title_weight=15 * OUNCE),
    ),
    "ounces of what is sold by volume": (
        text("Broth, 32 oz, 2-pack", 32.0, "Fl Oz"),
        volume(32 * FLUID_OUNCE, title_volume=32 * FLUID_OUNCE, pack=2, pieces=2, amount=64 * FLUID_OUNCE),
    ),
    "a weight in the title of what is sold by volume": (
        text("Shots 300 g (12 Bottles)", 36.0, "Fl Oz"),
        volume(36 * FLUID_OUNCE, title_weight=300, title_count=12, pieces=12),
    ),
    "the count is the packs": (
        text("Butter, 16 Ounce (Pack of 6)", 6.0, "Count"),
        count(6, title_weight=16 * OUNCE, pack=6, amount=96 * OUNCE, amount_kind="weight"),
    ),
    "only the fields count": (
        text("Vinegar, 12 fl oz", 6.0, "Count"),
        count(6, title_volume=12 * FLUID_OUNCE, amount=72 * FLUID_OUNCE, amount_kind="volume"),
    ),
    "only the fields count tea bags": (
        text("Green Tea, 1.76 oz", 18.0, "Count"),
        count(18, title_weight=1.76 * OUNCE, amount=1.76 * OUNCE, amount_kind="weight"),
    ),
    "the count repeats the size": (
        text("Peppercorns, 6 Ounce", 6.0, "Count"),
        {"unit_kind": "count", "count": 6, **sized("weight", 6 * OUNCE)},
    ),
    "the count is of cases": (
        text("Candy Tin 755 pcs", 1.0, "Count"),
        count(1, title_count=755, pieces=755, amount=755),
    ),
    "the title counts each pack": (
        text("Gum, 14 ct (Pack of 36)", 36.0, "Count"),
        count(36, title_count=14, pack=36, pieces=504, amount=504),
    ),
    "the title counts all packs": (
        text("Herb Tea, 96 Tea Bags (6 Pack)", 96.0, "Count"),
        count(96, title_count=96, pack=6),
    ),
    "a count that no packs divide": (
        text("Herb Tea, 16 Tea Bags (Pack of 3)", 16.0, "Count"),
        count(16, title_count=16, pack=3, pieces=48, amount=48),
    ),
    "more than a truckload": (
        text("Rice 50 kg (Pack of 40)", "nan", "None"),
        sized("weight", 50_000, pack=40, pieces=40),
    ),
}


@pytest.mark.parametrize(("content", "expected"), BOTH.values(), ids=BOTH)
def test_fields_and_titles(content, expected):
    assert parsed(content) == pytest.approx(expected)


def test_lengths_and_bullet_points():
    content = "Item Name: Rice\nBullet Point 1: long\nBullet Point: grain\nValue: 1\nUnit: oz\n"
    row = columns_of([content]).iloc[0]
    assert np.exp([row["title_length"], row["text_length"], row["bullet_points"]]) == pytest.approx(
        [1 + 4, 1 + len(content), 1 + 2]
    )


def test_an_unknown_unit_is_counted_in_one_line(caplog):
    units = ["furlong", "Ounce", "24", "None", "", "furlong"]
    with caplog.at_level(logging.INFO, "price_fusion"):
        quantity_columns(pd.Series([text("Rice", 1.0, unit) for unit in units]))
    assert caplog.messages == ["quantity: 3 product(s) with unit(s) that say no quantity: 24, furlong"]
    caplog.clear()
    with caplog.at_level(logging.INFO, "price_fusion"):
        quantity_columns(pd.Series([text("Rice", 1.0, "Ounce")]))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "texts",
    [pd.Series([], dtype=object), pd.Series([None, None]), pd.Series([NAN, NAN]), pd.Series(["Rice", "Beans"])],
    ids=["no rows", "None", "NaN", "no quantities"],
)
def test_nothing_stated_leaves_columns_without_numbers(texts):
    frame = columns_of(texts)
    assert list(frame.columns) == [*NUMERIC, *CATEGORICAL]
    assert len(frame) == len(texts)
    assert frame[list(QUANTITIES)].isna().all(axis=None)
    assert (frame[list(CATEGORICAL)] == UNKNOWN).all(axis=None)
    assert (frame.dtypes[list(NUMERIC)] == np.float64).all()


CASES = [content for content, _ in [*FIELDS.values(), *BOTH.values()]] + [text(title) for title in TITLES]


def test_a_row_is_parsed_alike_alone_and_among_others():
    together = columns_of(CASES)
    alone = pd.concat([columns_of([content]) for content in CASES], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


def test_the_texts_stay_as_they_are():
    texts = pd.Series([text("Rice 1 oz", 1.0, "Ounce"), None])
    before = texts.copy()
    quantity_columns(texts)
    pd.testing.assert_series_equal(texts, before)


def test_each_unit_is_parsed_once_not_once_a_row(monkeypatch):
    calls = []
    monkeypatch.setattr(amounts, "parse_unit", lambda unit: (calls.append(unit), parse_unit(unit))[1])
    texts = [text("Cookies, 8 Ounce, 4 ct (Pack of 6)", 32.0, "Ounce")] * 10_000
    started = time.perf_counter()
    frame = columns_of(texts)
    assert time.perf_counter() - started < 10  # seconds; takes 0.5
    assert len(frame) == 10_000
    assert frame["amount"].nunique() == 1
    assert sorted(calls) == ["Ounce", "ounce"]


def test_one_text_takes_no_longer_than_its_patterns():
    content = text("Cookies, 8 Ounce, 4 ct (Pack of 6)", 32.0, "Ounce")
    seconds = []
    for _ in range(20):
        started = time.process_time()
        quantity_columns([content])
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.003  # takes 0.0003; as columns of a data frame it took 0.025


@pytest.mark.parametrize(("content", "as_text"), [(12, "12"), (1.5, "1.5"), (pd.NA, ""), (pd.NaT, ""), (NAN, "")])
def test_what_is_no_text_is_read_as_it_prints_and_what_is_missing_as_empty(content, as_text):
    pd.testing.assert_frame_equal(columns_of([content]), columns_of([as_text]))


def assert_finite_or_nan(texts):
    frame = columns_of(pd.Series(texts, dtype=object))
    assert not np.isinf(frame[list(NUMERIC)].to_numpy()).any()
    for kind in LARGEST:
        of_kind = frame.loc[frame["amount_kind"] == kind, "amount"]
        assert of_kind.notna().all()
        assert (np.exp(of_kind) <= LARGEST[kind] * (1 + 1e-9)).all()
    for kinds in CATEGORICAL:
        assert frame[kinds].isin([*LARGEST, UNKNOWN]).all()
    assert (frame["amount"].isna() == (frame["amount_kind"] == UNKNOWN)).all()


@given(st.lists(st.none() | st.text(max_size=200), max_size=5))
def test_any_text_gives_finite_numbers_or_nan(texts):
    assert_finite_or_nan(texts)


WORDS = st.one_of(
    st.sampled_from(
        [
            "oz",
            "lb",
            "g",
            "ml",
            "fl.oz",
            "ct",
            "count",
            "pack",
            "of",
            "x",
            "/",
            "-",
            "(",
            ")",
            "case",
            "per",
            "box",
            "tea",
            "bags",
            "K-Cups",
            "each",
            "1/2",
            "½",
            ",",
            ".",
            "0",
            "Value:",
            "Unit:",
            "#",
        ]
    ),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.integers(-10, 10**12).map(str),
)


@given(
    titles=st.lists(st.lists(WORDS, max_size=12).map(" ".join) | st.lists(WORDS, max_size=12).map("".join), max_size=5),
    value=st.floats().map(str) | st.integers().map(str) | st.text(max_size=8),
    unit=st.sampled_from(sorted(units.UNITS)) | st.text(max_size=8),
)
def test_any_fields_give_finite_numbers_or_nan_alike_alone_and_among_others(titles, value, unit):
    contents = [text(title, value, unit) for title in titles]
    assert_finite_or_nan(contents)
    for row, content in enumerate(contents):
        alone, together = columns_of([content]), columns_of(contents).iloc[[row]]
        pd.testing.assert_frame_equal(alone, together.reset_index(drop=True), check_exact=True)


def test_a_long_text_takes_no_longer_than_its_length():
    started = time.perf_counter()
    for content in [
        "1" * 50_000,
        "1 " * 25_000,
        "1/" * 25_000,
        "(" * 50_000,
        "1,111" * 10_000,
        "1" + " " * 50_000,
        "1 oz (" * 8_000,
        "1 a " * 12_000,
    ]:
        assert_finite_or_nan([text(content), "\n" * 50_000, content + "\nUnit" * 5_000])
    assert time.perf_counter() - started < 60  # seconds; takes 1
