"""Likely mistakes in product tables: prices, texts and image links."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.checks.suspicions import Suspicion, first
from price_fusion.data.ids import Ids, are_among, ids_of
from price_fusion.data.money import money
from price_fusion.data.readers.column_names import ID, IMAGE, PRICE, TEXT, called
from price_fusion.lazy import pd
from price_fusion.parameters import CheckParameters

_CONTINUATION = re.escape(
    bytes(range(0x80, 0xC0)).decode("cp1252", errors="ignore") + "".join(map(chr, range(0x80, 0xA0)))
)
"""What the bytes of UTF-8 that go on a character look like when they are read as Windows-1252 or Latin-1."""
GARBLED = f"\ufffd|[ÂÃ][{_CONTINUATION}]|[âï][{_CONTINUATION}]{{2}}|ð[{_CONTINUATION}]{{3}}"
"""The replacement character, and UTF-8 read as Windows-1252 or Latin-1: ``â€™`` for an apostrophe."""
_HIGH, _LOW = 0.999, 0.001
_WHOLE = r"-?[0-9]+"
_ROUNDED = r"[0-9](?:[.,][0-9]+)?E\+[0-9]+"
"""As spreadsheets show long numbers: ``1.23E+11``."""
_MOST = 0.9
"""Share of ids that are whole numbers from which others are odd."""


def suspicions_of_products(products: pd.DataFrame, checks: CheckParameters, origin: str) -> Iterator[Suspicion]:
    """What is likely to be wrong with a product table.

    Args:
        products: ``sample_id``, ``catalog_content``, ``image_link`` and, where labelled, ``price`` in currency units.
        checks: thresholds.
        origin: what the products are called in messages.
    """
    where = {column: f"{origin}, {own}" for column in products.columns if (own := called(products, column))}
    ids = products[ID].to_numpy()
    yield from _of_ids(ids, where[ID])
    if PRICE in products:
        yield from _of_prices(products[PRICE].to_numpy(np.float64), ids, checks, where[PRICE])
    if TEXT in where:
        yield from _of_texts(products[TEXT], ids, where[TEXT])
    for column in (name for name in (TEXT, IMAGE) if name in where):
        yield from _repeated(products[column], ids, checks, where[column])


def _of_ids(ids: NDArray[np.generic], where: str) -> Iterator[Suspicion]:
    """Ids unlike the others: a heading in the middle, a row of totals, an id that a spreadsheet has rounded."""
    if ids.dtype.kind == "i":
        return
    text = pd.Series(ids).astype(str)
    whole = text.str.fullmatch(_WHOLE).to_numpy(bool)
    odd = np.flatnonzero(~whole if whole.mean() > _MOST else text.str.fullmatch(_ROUNDED).to_numpy(bool))
    if len(odd):
        yield Suspicion(
            where,
            "odd_id",
            f"ids that are not whole numbers as the others are, or that a spreadsheet has rounded ({text.iloc[odd[0]]!r})",
            len(odd),
            len(ids),
            "products",
            first(ids[odd]),
            "Remove headings and totals between the products; export rounded ids again, as text.",
        )


def suspicions_of_known(products: pd.DataFrame, labelled: Ids, origin: str) -> Iterator[Suspicion]:
    """Products to be predicted that are among the labelled ones, (M,): their price is known."""
    ids = ids_of(products[ID])
    known = np.flatnonzero(are_among(ids, labelled))
    if len(known):
        yield Suspicion(
            f"{origin}, {called(products, ID)}",
            "labelled_product",
            "products that are labelled as well, under the same id",
            len(known),
            len(ids),
            "products",
            first(ids[known]),
            "They are predicted like all others, by a model that may have been fitted on their prices. Check that this is the "
            "file of the products to be predicted.",
        )


def suspicious_prices(prices: NDArray[np.float64], factor: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of prices that are likely too high, and too low.

    Args:
        prices: (N,) positive.
        factor: how many times the 99.9 % quantile, and how many times less than the 0.1 % quantile.
    """
    # In a small table the extreme itself must not lift the quantile that it is measured by.
    high = np.quantile(prices, _HIGH, method="lower")
    low = np.quantile(prices, _LOW, method="higher")
    return np.flatnonzero(prices / factor > high), np.flatnonzero(prices < low / factor)


def _of_prices(
    prices: NDArray[np.float64], ids: NDArray[np.generic], checks: CheckParameters, where: str
) -> Iterator[Suspicion]:
    if len(prices) > 1 and (prices == prices[0]).all():
        advice = "A model learns nothing from it. Check that this column is the price."
        found = f"one price in all rows ({money(prices[0])})"
        yield Suspicion(where, "one_price", found, len(prices), len(prices), "products", (), advice)
        return
    high, low = suspicious_prices(prices, checks.price_factor)
    factor = f"{checks.price_factor:g}"
    kinds = (
        ("price_too_high", f"prices above {factor} x the 99.9 % quantile", high),
        ("price_too_low", f"prices more than {factor} x below the 0.1 % quantile", low),
    )
    for check, found, rows in kinds:
        if len(rows):
            shown = ", ".join(money(price) for price in prices[rows[:3]])
            yield Suspicion(
                where,
                check,
                f"{found} ({shown})",
                len(rows),
                len(prices),
                "products",
                first(ids[rows]),
                "Check the currency and the decimal point.",
            )


def _of_texts(texts: pd.Series[str], ids: NDArray[np.generic], where: str) -> Iterator[Suspicion]:
    empty = np.flatnonzero(texts.str.strip().eq("").to_numpy())
    garbled = np.flatnonzero(texts.str.contains(GARBLED, regex=True).to_numpy(dtype=bool))
    if len(empty):
        yield Suspicion(
            where,
            "empty_text",
            "empty texts",
            len(empty),
            len(texts),
            "products",
            first(ids[empty]),
            "Check that their embeddings are of something else than the text.",
        )
    if len(garbled):
        sample = re.search(f".{{0,12}}(?:{GARBLED}).{{0,12}}", texts.iloc[garbled[0]])
        shown = f" such as {sample.group()!r}" if sample else ""
        yield Suspicion(
            where,
            "garbled_text",
            f"texts whose encoding was mistaken{shown}",
            len(garbled),
            len(texts),
            "products",
            first(ids[garbled]),
            "Decode the texts as what they are (mostly UTF-8), and embed these again.",
        )


def _repeated(
    column: pd.Series[str], ids: NDArray[np.generic], checks: CheckParameters, where: str
) -> Iterator[Suspicion]:
    """Values that too many products share. An empty field is nobody's."""
    kind = "image link" if column.name == IMAGE else "text"
    counts = column[column.ne("")].value_counts()
    counts = counts[counts >= repeats_of_note(len(column), checks)]
    if len(counts):
        most = str(counts.index[0])
        others = f" and {len(counts) - 1} further one(s)" if len(counts) > 1 else ""
        yield Suspicion(
            where,
            f"repeated_{kind.replace(' ', '_')}",
            f"one {kind}, {most[:60]!r}{others}",
            int(counts.sum()),
            len(column),
            "products",
            first(ids[np.flatnonzero(column.eq(most).to_numpy())]),
            "Check that it is theirs and no placeholder.",
        )


def repeats_of_note(rows: int, checks: CheckParameters) -> int:
    """How many of ``rows`` have one value in common before that is suspicious."""
    return max(checks.repeated_least, int(checks.repeated_share * rows) + 1)
