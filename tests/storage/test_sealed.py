"""Seals: an object is read as it was written, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.storage.sealed import SEAL, json_object, sealed, unsealed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text().filter(lambda name: name != SEAL), VALUES, max_size=5)


@given(contents=OBJECTS, indent=st.sampled_from([None, 1, 2]))
def test_round_trip(contents: dict[str, Any], indent: int | None) -> None:
    read = unsealed(json_object(sealed(contents, indent)))
    assert read == contents
    assert json.dumps(read) == json.dumps(contents)  # in the same order, too


@given(contents=OBJECTS.filter(bool), data=st.data())
def test_another_bit_is_noticed_or_changes_nothing(contents: dict[str, Any], data: st.DataObject) -> None:
    text = bytearray(sealed(contents).encode())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = unsealed(json_object(bytes(text)))
    except ValueError:
        return
    assert json.dumps(read) == json.dumps(contents)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "1" * 5_000 + "}", "not JSON"),
        ("[1]", "a list, expected an object"),
        ("null", "a NoneType, expected an object"),
    ],
)
def test_what_is_no_object_is_named(text: str | bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        json_object(text)


@pytest.mark.parametrize("contents", [{}, {"a": 1}, {"a": 1, SEAL: None}, {"a": 1, SEAL: "0f"}])
def test_another_seal_or_none_is_refused(contents: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"sha256 of its contents is .*, expected .* as its {SEAL} says"):
        unsealed(contents)


def test_white_space_and_the_place_of_the_seal_do_not_matter_but_order_does() -> None:
    contents = json.loads(sealed({"a": 1, "b": float("nan")}))
    assert list(unsealed({SEAL: contents.pop(SEAL), **contents})) == ["a", "b"]
    swapped = json.loads(sealed({"a": 1, "b": 2}))
    with pytest.raises(ValueError, match="sha256 of its contents"):
        unsealed(dict(reversed(swapped.items())))
