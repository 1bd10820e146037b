"""Categories as a model's vocabulary spells them, and columns whose categories it does not know.

A model knows categories as its product file writes them. Frames hold what a reader made of the file: ``true`` as True, ``007`` as
7, ``5`` beside an empty field as 5.0.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from price_fusion.data.placeholders import EMPTY
from price_fusion.errors import SHOWN, DataError, few
from price_fusion.lazy import pd
from price_fusion.parameters import ColumnSourceParameters, Source

logger = logging.getLogger(__name__)

LEAST_KNOWN = 0.1
"""Share of a column's categories that a model knows; where it is lower, they are probably written another way."""
AS_TEXT = "pd.read_csv(path, dtype=str, keep_default_na=False)"
"""How pandas reads a file as the pipelines do."""


def as_written(column: pd.Series[Any], vocabulary: Sequence[str], where: str) -> pd.Series[Any]:
    """Values of a column, (N,), as text: those of another type are spelled as the one category that reads as they do.

    Args:
        column: with values of any type; what is missing counts as an empty field.
        vocabulary: the categories that are known.
        where: the column, in messages.

    Raises:
        DataError: if a value may be several categories, as 7 may be ``7`` and ``007``.

    Examples:
        >>> as_written(pd.Series([5.0, float("nan"), 7.0]), ["007", "5"], "size").tolist()
        ['5', '', '007']
    """
    missing = column.isna()
    texts = column.map(str) if column.dtype == object else column.astype(str)  # pandas would decode bytes
    if missing.any() and (placeholders := [word for word in vocabulary if word.lower() in EMPTY]):
        logger.warning(
            "%s: %d value(s) are missing and count as empty fields, not as the category %s, which pandas reads as a missing value. "
            "Read the file as text (%s), or fill them with what they are.",
            where,
            missing.sum(),
            few([repr(word) for word in placeholders]),
            AS_TEXT,
        )
    if not isinstance(column.dtype, pd.StringDtype):
        converted = ~column.astype(object).map(lambda value: isinstance(value, str)).astype(bool) & ~missing
        spelled = _spelled(set(texts[converted]), vocabulary, where)
        texts = texts.where(~converted, texts.map(spelled))
    return texts.where(~missing, "")


def warn_of_unknown(found: Iterable[str], vocabulary: Sequence[str], where: str) -> None:
    """Warn where next to none of the categories that were found, empty fields left out, is in the vocabulary."""
    categories = set(found) - {""}
    known = len(categories.intersection(vocabulary))
    if known < LEAST_KNOWN * len(categories):
        logger.warning(
            "%s: of %d different values, the model knows %s as categories; the others count as empty fields. Found %s; it knows %s. "
            "Write them as the product files do that it was trained on; from Python, read such files as text: %s.",
            where,
            len(categories),
            known or "none",
            few([repr(word) for word in sorted(categories.difference(vocabulary))]),
            few([repr(word) for word in vocabulary]) or "none",
            AS_TEXT,
        )


def warn_of_unknown_in_tables(tables: Mapping[str, Source], sources: Mapping[str, Source], origin: str) -> None:
    """The same for tables of column sources.

    Args:
        tables: what tables declare, with the categories that are in them, by source.
        sources: the same of a model.
        origin: what the products are called in messages.
    """
    for name, table in tables.items():
        source = sources.get(name)
        if isinstance(table, ColumnSourceParameters) and isinstance(source, ColumnSourceParameters):
            for column in source.own_columns:
                if column in source.categorical:
                    found = table.vocabulary.get(column, ())
                    warn_of_unknown(found, source.vocabulary[column], f"{origin}: column {column!r}")


def _spelled(texts: Iterable[str], vocabulary: Sequence[str], where: str) -> dict[str, str]:
    """The category that each of some printed values is; the text itself where it is none."""
    readings = defaultdict(list)
    for word in vocabulary:
        readings[_reading(word)].append(word)
    spelled = {}
    for text in texts:
        words = readings.get(_reading(text), [text])
        if len(words) > 1:
            raise DataError(
                f"{where}: found {text}, which may be any of the categories {', '.join(map(repr, words[:SHOWN]))}, expected text. "
                f"Read the file as text: {AS_TEXT}."
            )
        spelled[text] = words[0]
    return spelled


def _reading(text: str) -> tuple[str, bool | float | str]:
    """What a reader that guesses types makes of a text, beside the kind of it: to Python True and 1 are equal."""
    if text.lower() in ("true", "false"):
        return "truth", text.lower() == "true"
    for number in (int, float):
        try:
            return ("text", text) if "_" in text else ("number", number(text))
        except ValueError:
            pass
    return "text", text
