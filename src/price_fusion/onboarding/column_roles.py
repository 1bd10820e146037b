"""What the columns of a product table are, guessed from their names and values.

Names count as words: ``priceEUR``, ``price_eur`` and ``Price (EUR)`` are the same. Where two columns fit as well, or nothing
but its values speak for one, the guess is not sure, and whoever asked should be asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from price_fusion.data.placeholders import without_placeholders
from price_fusion.data.prices import parse_numbers

Table = Mapping[str, Sequence[str]]
"""(N,) texts by column."""

_ID = [
    "sku",
    "id",
    "sample_id",
    "product_id",
    "item_id",
    "article_id",
    "listing_id",
    "offer_id",
    "uniq_id",
    "asin",
    "gtin",
    "ean",
    "upc",
    "mpn",
    "uid",
    "uuid",
    "code",
    "product_code",
    "item_number",
    "article_number",
    "artikelnummer",
    "artikel_nr",
    "artnr",
    "art_nr",
    "produkt_id",
    "referencia",
    "reference",
    "ref",
    "handle",
    "key",
]
_PRICE = [
    "price",
    "prices",
    "sale_price",
    "selling_price",
    "unit_price",
    "list_price",
    "retail_price",
    "preis",
    "verkaufspreis",
    "prix",
    "precio",
    "prezzo",
    "preco",
    "prijs",
    "pris",
    "cena",
    "target",
    "label",
    "cost",
    "amount",
    "value",
]
_NAMED_CURRENCY = 0.6
"""How well a name of a currency names a price: as ``_match``."""
_TOLD_ROWS, _TOLD_CORRELATION = 20, 0.95
"""From how many products and from which rank correlation on a column tells the price."""
_ABOUT_PRICE = frozenset(
    [
        "price",
        "prices",
        "preis",
        "prix",
        "precio",
        "prezzo",
        "prijs",
        "cost",
        "costs",
        "msrp",
        "rrp",
        "uvp",
        "margin",
        "revenue",
        "turnover",
        "umsatz",
        "discount",
        "rebate",
        "discounted",
        "wholesale",
        "ek",
        "vk",
        "taxes",
        "vat",
        "einstand",
        "einstandspreis",
        "einkauf",
        "einkaufspreis",
        "kosten",
        "costo",
        "cout",
        "coste",
        "purchase",
    ]
)
_TITLE = [
    "title",
    "name",
    "product_name",
    "product_title",
    "item_name",
    "titel",
    "bezeichnung",
    "produktname",
    "nombre",
    "titulo",
    "titre",
    "nom",
    "titolo",
    "nome",
    "catalog_content",
]
_PROSE = [
    "description",
    "desc",
    "body",
    "text",
    "details",
    "content",
    "features",
    "bullet_points",
    "bullets",
    "about",
    "summary",
    "beschreibung",
    "descripcion",
    "descrizione",
    "long_description",
    "short_description",
    "item_description",
    "product_description",
]
_IMAGE = [
    "image",
    "img",
    "photo",
    "picture",
    "thumbnail",
    "bild",
    "foto",
    "imagen",
    "immagine",
    "image_link",
    "image_url",
    "img_url",
    "photo_url",
    "picture_url",
]
_CURRENCIES = [
    "EUR",
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "CNY",
    "INR",
    "CAD",
    "AUD",
    "NZD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "RON",
    "BGN",
    "TRY",
    "BRL",
    "MXN",
    "KRW",
    "SGD",
    "HKD",
    "ZAR",
    "ILS",
    "AED",
]
_LAYOUTS: tuple[tuple[str, str | None], ...] = ((".", None), (",", None), (".", ","), (",", "."))
"""Decimal and thousands separators that are tried, in this order."""
_LINK = re.compile(r"(?:https?://|www\.)\S+$|\S+\.(?:jpe?g|png|webp|gif)$", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
_MOST_CATEGORIES = 1_000
_CATEGORY_SHARE = 0.2
"""Different values over products above which a column is text or an id."""
_PROSE_WORDS = 4.0
"""Words that a column's values have on average from which on it is prose whatever its name."""


@dataclass(frozen=True)
class Guess:
    """A column, or none, and why."""

    value: str | None
    why: str
    sure: bool = True
    others: tuple[str, ...] = ()
    """What else it may be."""


@dataclass(frozen=True)
class NumberLayout:
    """Separators under which numbers are read."""

    decimal: str = "."
    thousands: str | None = None


@dataclass(frozen=True)
class Roles:
    """What each column is."""

    id: Guess
    price: Guess
    text: tuple[str, ...]
    image: Guess
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    currency: Guess
    layout: NumberLayout
    """Of the prices and the other numbers."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why, by column."""


def guess_roles(table: Table, said: Mapping[str, str] | None = None, unpriced: Collection[str] = ()) -> Roles:
    """Guess what each column is.

    Args:
        table: labelled products, with at least one row.
        said: columns, by ``id``, ``price``, ``image`` and ``currency``, that need not be guessed.
        unpriced: columns of the products to be predicted, where they have a table of their own: none of them is the price.
    """
    said = said or {}
    values = {name: without_placeholders(column) for name, column in table.items()}
    identity = _said(said, "id") or _guess_id(values)
    price = _said(said, "price") or _guess_price(values, identity.value, unpriced)
    layout = (price.value and number_layout(values[price.value])) or NumberLayout()
    taken = {identity.value, price.value}
    image = _said(said, "image") or _guess_image({name: one for name, one in values.items() if name not in taken})
    taken.add(image.value)
    text: list[str] = []
    numeric: list[str] = []
    categorical: list[str] = []
    left_out: dict[str, str] = {}
    for name, column in values.items():
        if name in taken:
            continue
        kind, why = _kind_of(name, column, layout)
        if kind == "number" and price.value and _tells(column, values[price.value], layout):
            kind, why = "", "it tells the price: nearly the same order of products"
        if kind == "text":
            text.append(name)
        elif kind == "number":
            numeric.append(name)
        elif kind == "category":
            categorical.append(name)
        else:
            left_out[name] = why
    text.sort(key=lambda name: _match(name, _TITLE) == 0)  # titles first; Python's sort is stable
    currency = _said(said, "currency") or _guess_currency(price.value)
    return Roles(identity, price, tuple(text), image, tuple(numeric), tuple(categorical), currency, layout, left_out)


def number_layout(column: Sequence[str]) -> NumberLayout | None:
    """The separators under which all values that are not empty are numbers; None: there are none, or no values."""
    known = [value.strip() for value in column if value.strip()]
    for decimal, thousands in _LAYOUTS:
        if known and not np.isnan(parse_numbers(known, decimal, thousands)).any():
            return NumberLayout(decimal, thousands)
    return None


def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name, in lower case and without accents."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"[a-z0-9]+", parted.casefold()))


def _match(name: str, known: Sequence[str]) -> float:
    """How well a name is one of those known, the most usual ones first: 0 not at all, at most 2."""
    words = words_of(name)
    joined = "_".join(words)
    if joined in known or joined.replace("_", "") in known:
        spelled = joined if joined in known else joined.replace("_", "")
        return 2 - known.index(spelled) / len(known)
    inside = [known.index(word) for word in words if word in known]
    return 1 - min(inside) / len(known) if inside else 0.0


def _said(said: Mapping[str, str], role: str) -> Guess | None:
    return Guess(said[role], "as you said") if said.get(role) else None


def _best(scores: Mapping[str, float], why: str, *, sure_from: float = 0.0) -> Guess:
    """The column with the highest score; not sure where another is as high, or none is high enough."""
    ranked = sorted(scores, key=lambda name: -scores[name])
    if not ranked:
        return Guess(None, "no column looks like it")
    best = ranked[0]
    others = tuple(name for name in ranked[1:] if scores[name] > 0)
    alone = len(ranked) < 2 or scores[ranked[1]] < scores[best]
    return Guess(best, why, sure=alone and scores[best] > sure_from, others=others)


def _guess_id(values: Table) -> Guess:
    unique = {
        name: _match(name, _ID)
        for name, column in values.items()
        if all(column) and len(set(column)) == len(column) and not _are_links(column)
    }
    named = {name: score for name, score in unique.items() if score > 0}
    if named:
        return _best(named, "its name, and each value occurs once")
    # Without a telling name, prose is no id.
    short = {name: 1.0 / (1 + _words(values[name])) for name in unique if _words(values[name]) < 2}
    found = _best(short, "each value occurs once")
    return Guess(found.value, found.why, sure=False, others=found.others)


def _tells(column: Sequence[str], prices: Sequence[str], layout: NumberLayout) -> bool:
    """Whether numbers put products into nearly the order of their prices, as costs do."""
    both = [(one.strip(), price.strip()) for one, price in zip(column, prices, strict=True) if one and price]
    if len(both) < _TOLD_ROWS:
        return False
    numbers, known = (parse_numbers(list(part), layout.decimal, layout.thousands) for part in zip(*both, strict=True))
    ranks = [np.unique(part, return_inverse=True)[1] for part in (numbers, known)]
    if min(one.max() for one in ranks) == 0:
        return False
    return bool(abs(np.corrcoef(ranks[0], ranks[1])[0, 1]) >= _TOLD_CORRELATION)


def _guess_price(values: Table, identity: str | None, unpriced: Collection[str] = ()) -> Guess:
    numbers: dict[str, float] = {}
    for name, column in values.items():
        layout = number_layout(column)
        if name == identity or layout is None or name in unpriced:
            continue
        known = parse_numbers([value.strip() for value in column if value.strip()], layout.decimal, layout.thousands)
        if min(known) > 0 and max(known) > min(known):
            numbers[name] = _match(name, _PRICE) or (_NAMED_CURRENCY if _guess_currency(name).sure else 0.0)
    named = {name: score for name, score in numbers.items() if score > 0}
    if named:
        return _best(named, "its name, and numbers above 0", sure_from=0.5)
    if unpriced and len(numbers) == 1:
        return Guess(next(iter(numbers)), "numbers above 0 that the products to be predicted lack")
    return Guess(next(iter(numbers), None), "numbers above 0", sure=False, others=tuple(numbers)[1:])


def _guess_image(values: Table) -> Guess:
    links = {name: 1 + _match(name, _IMAGE) for name, column in values.items() if _are_links(column)}
    named = {name: score for name, score in links.items() if score > 1}
    if named:
        return _best(named, "its name, and links")
    pictures = {name: 1.0 for name in links if any(_is_picture(one) for one in values[name] if one)}
    return _best(pictures, "links of pictures") if pictures else Guess(None, "no column has links of pictures")


def _guess_currency(price: str | None) -> Guess:
    for word in words_of(price or ""):
        if word.upper() in _CURRENCIES:
            return Guess(word.upper(), f"the name of {price!r}")
    return Guess("USD", "nothing says which: the default", sure=False)


def _kind_of(name: str, column: Sequence[str], layout: NumberLayout) -> tuple[str, str]:
    """``text``, ``number``, ``category``, or "" and why it is left out."""
    known = [value for value in column if value]
    different = len(set(known))
    if different < 2:
        return "", "empty" if not different else "one value everywhere"
    if _ABOUT_PRICE & set(words_of(name)):
        return "", "it may tell the price"
    if _are_links(column):
        return "", "links"
    if sum(bool(_DATE.match(value.strip())) for value in known) > len(known) / 2:
        return "", "dates"
    numbers = parse_numbers([value.strip() for value in known], layout.decimal, layout.thousands)
    if not np.isnan(numbers).any():
        is_identity = different == len(known) and _match(name, _ID) > 0
        return ("", "another id") if is_identity else ("number", "")
    if _match(name, _TITLE) or _match(name, _PROSE) or _words(known) >= _PROSE_WORDS:
        return "text", ""
    if different <= min(_MOST_CATEGORIES, max(2, _CATEGORY_SHARE * len(known))):
        return "category", ""
    return "", f"{different:,} different values: neither categories nor prose"


def _words(column: Sequence[str]) -> float:
    """Words of a value, on average."""
    known = [value for value in column if value]
    return sum(len(value.split()) for value in known) / max(1, len(known))


def _are_links(column: Sequence[str]) -> bool:
    known = [value.strip() for value in column if value.strip()]
    return bool(known) and sum(bool(_LINK.match(value)) for value in known) > len(known) / 2


def _is_picture(link: str) -> bool:
    return bool(re.search(r"\.(?:jpe?g|png|webp|gif)(?:$|\?)", link.strip(), re.IGNORECASE))
