"""Product ids: numbers and text, and how those of two files are compared."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.ids import (
    are_among,
    id_column,
    ids_of,
    lacking,
    likeness,
    listed,
    lookalikes,
    parse_ids,
    repeated_ids,
    rows_of,
    same_ids,
)
from price_fusion.errors import AlignmentError

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: text.isprintable() and text == text.strip() and text[0] not in "=+-@\uff1d\uff0b\uff0d\uff20"
)


def messages(values):
    return [str(problem) for problem in parse_ids(values, "a.csv")[1]]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True))
def test_whole_numbers_are_int64(numbers):
    ids, problems = parse_ids([f" {number} " for number in numbers], "a.csv")
    assert problems == []
    assert ids.dtype == np.int64
    assert ids.tolist() == numbers


@given(st.lists(TEXT, min_size=1, unique=True))
def test_text_comes_back_character_by_character(texts):
    ids, problems = parse_ids([*texts, "B7"] if "B7" not in texts else texts, "a.csv")
    if not problems:
        assert ids.dtype.kind == "U"
        assert ids[: len(texts)].tolist() == texts
    assert all(isinstance(problem, AlignmentError) for problem in problems)  # look-alikes in Unicode


@pytest.mark.parametrize("odd", ["007", "12.0", "1e3", "9223372036854775808", "-9" + "9" * 30, "1_0", "٣", "A7"])
def test_one_id_that_is_no_canonical_number_makes_all_text(odd):
    ids, problems = parse_ids(["5", odd], "a.csv")
    assert problems == []
    assert ids.dtype.kind == "U"
    assert ids.tolist() == ["5", odd]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (" ", "1 id(s) missing: row 1: ' '"),
        ("x" * 257, "longer than 256 characters"),
        ("a\x07b", r"cannot be seen (control characters, or blanks other than the plain one): row 1: 'a\x07b'"),
        ("a\u200bb", "cannot be seen"),
        ("a\ud800", "cannot be seen"),
        ("=1+1", "reads as a formula (they begin with =, +, - or @): row 1: '=1+1'"),
        ("+7", "formula"),
        ("@a", "formula"),
        ("-a", "formula"),
        ("-007", "formula"),
        ("\uff1d1", "formula"),
    ],
)
def test_names_what_cannot_be_an_id(value, said):
    (message,) = messages(["5", value])
    assert message.startswith("a.csv: 1 id(s) ")
    assert said in message


def test_lists_all_kinds_of_problems_at_once():
    found = messages(["", "=a", "=b", "B7", "B7", "Caf\u00e9", "Cafe\u0301"] + ["\t"] * 6)
    assert len(found) == 4
    assert "7 id(s) missing" in found[0]
    assert "2 id(s) such as a spreadsheet reads as a formula" in found[1]
    assert "and 2 more" in found[0]
    assert "'B7' in rows 3, 4" in found[2]
    assert r"'Caf\xe9' and 'Cafe\u0301'" in found[3]


def test_repeats_are_named_with_their_places():
    (problem,) = repeated_ids(np.array([5, 1, 5]), "a.csv", place="record", numbers=[1, 2, 9])
    assert isinstance(problem, AlignmentError)
    assert "1 id(s) occur more than once: 5 in records 1, 9" in str(problem)


@given(
    st.lists(st.integers(-50, 50), unique=True),
    st.lists(st.integers(-50, 50), min_size=1, unique=True),
    st.booleans(),
    st.booleans(),
)
def test_rows_are_found_as_a_dictionary_finds_them(wanted, among, text_wanted, text_among):
    rows = {number: row for row, number in enumerate(among)}
    one = np.array(wanted, dtype=np.int64).astype(np.str_ if text_wanted else np.int64)
    other = np.array(among, dtype=np.int64).astype(np.str_ if text_among else np.int64)
    assert rows_of(one, other).tolist() == [rows.get(number, -1) for number in wanted]
    assert are_among(one, other).tolist() == [number in rows for number in wanted]
    assert sorted(map(str, lacking(one, other))) == sorted(str(number) for number in wanted if number not in rows)


def test_leading_zeros_are_never_joined_by_number():
    assert rows_of(np.array([123]), np.array(["00123", "123"])).tolist() == [1]
    assert rows_of(np.array(["00123"]), np.array([123])).tolist() == [-1]
    assert same_ids(pd.Series([1, 2]), pd.Series(["1", "2"]))
    assert not same_ids(pd.Series([1, 2]), pd.Series(["1", "02"]))


def test_lookalikes():
    unmatched = np.array(["123", "b7", "ABC", "77"])
    missing = np.array(["00123", "B7", "123.0", "A BC", "8"])
    assert lookalikes(missing, unmatched) == [("00123", "123"), ("B7", "b7"), ("123.0", "123"), ("A BC", "ABC")]
    assert lookalikes(np.array([1]), np.array([2])) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GRÖSSE-4", "größe-4"),  # ß and SS fold alike
        ("\uff21\uff22\uff11\uff12", "ab12"),  # full width
        ("\u0394\u03a37", "\u03b4\u03c27"),  # a final sigma
        ("ﬁg-03", "FIG-03"),  # a ligature
        ("Caf\u00e9 1", "cafe\u03011"),  # composed or not
        ("00x.000", "X"),
        ("0042", "42.0"),
    ],
)
def test_ways_to_write_an_id(one, other):
    assert likeness(one) == likeness(other)
    assert lookalikes(np.array([one]), np.array([other])) == [(one, other)]


def test_frames_and_arrays():
    assert ids_of(pd.Series([3, 1], dtype="int32")).dtype == np.int64
    assert ids_of(pd.Series(["b", "a1"])).dtype == np.dtype("<U2")
    assert id_column(pd.Series(["3", "-1"])).tolist() == [3, -1]
    assert id_column(pd.Series(["3", "01"])).tolist() == ["3", "01"]
    assert listed(np.arange(9)) == "0, 1, 2, 3, 4, ..."
    assert listed(np.array(["a"])) == "'a'"
