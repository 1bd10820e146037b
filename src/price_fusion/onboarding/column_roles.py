"""What the columns of a product table are, guessed from their names and values.

Where two columns fit as well, or nothing but its values speak for one, the guess is not sure, and whoever asked should be
asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from price_fusion.data.readers.layout import Layout
from price_fusion.onboarding.column_headings import (
    ABOUT_PRICE,
    ID,
    IMAGE,
    PRICE,
    PRICE_LIKE,
    PROSE,
    TITLE,
    currency_in,
    match,
    words_of,
)
from price_fusion.onboarding.column_values import Columns, ColumnValues, rank_correlation

_NAMED_CURRENCY = 0.6
"""How well a name of a currency names a price: as ``_names_price``."""
_SURE_NAME = 0.5
"""How well a name must name a price, and more, to be sure: as ``_names_price``."""
_TOLD_ROWS, _TOLD_CORRELATION = 20, 0.95
"""From how many products and from which rank correlation on a column tells the price."""
_MOST_CATEGORIES = 1_000
_CATEGORY_SHARE = 0.2
"""Different values over products above which a column is text or an id."""
_SHOWN = 3
"""Values that a message names."""
_NEARLY_ONCE = 0.9
"""Different values over products from which on a column may hold ids of which some are repeated."""
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


Settle = Callable[[str, Guess], Guess]
"""Takes a role (``id``, ``price``, ``image``, ``currency``) and what it is guessed to be; gives what it is."""


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
    layout: Layout
    """Of the prices and the other numbers."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why, by column."""


def guess_roles(columns: Columns, settle: Settle, unpriced: Collection[str] = ()) -> Roles:
    """Guess what each column is.

    Args:
        columns: of labelled products, at least one.
        settle: has the last word on each guess; later guesses follow from what it says.
        unpriced: columns of the products to be predicted, where they have a table of their own: none of them is the price.
    """
    identity = settle("id", guess_id(columns))
    price = settle("price", guess_price(columns, identity.value, unpriced))
    image = settle("image", _guess_image(columns, {identity.value, price.value}))
    currency = settle("currency", _guess_currency(price.value))
    prices = columns[price.value] if price.value else None
    layout = (prices and prices.layout) or Layout()
    kinds: dict[str, list[str]] = {"text": [], "number": [], "category": []}
    left_out: dict[str, str] = {}
    for name, column in columns.items():
        if name in (identity.value, price.value, image.value):
            continue
        kind, why = _kind_of(name, column, layout)
        if kind == "number" and prices and _tells(column, prices, layout):
            kind, why = "", "it tells the price: nearly the same order of products"
        if kind:
            kinds[kind].append(name)
        else:
            left_out[name] = why
    text = sorted(kinds["text"], key=lambda name: match(name, TITLE) == 0)  # titles first; Python's sort is stable
    numeric, categorical = tuple(kinds["number"]), tuple(kinds["category"])
    return Roles(identity, price, tuple(text), image, numeric, categorical, currency, layout, left_out)


def guess_id(columns: Columns) -> Guess:
    """The column of the ids."""
    unique = {name: match(name, ID) for name, column in columns.items() if column.each_once and not column.are_links}
    named = {name: score for name, score in unique.items() if score > 0}
    if named:
        return _best(named, "its name, and each value occurs once")
    # Without a telling name, neither prose nor an amount is an id.
    short = {name: 1.0 / (1 + columns[name].words) for name in unique if _may_be_id(name, columns[name])}
    if not short:
        return _near_miss(columns)
    found = _best(short, "each value occurs once")
    return Guess(found.value, found.why, sure=False, others=found.others)


def _may_be_id(name: str, column: ColumnValues) -> bool:
    amounts = column.layout is not None and (match(name, PRICE) > 0 or column.has_fractions)
    return column.words < 2 and not column.are_links and not amounts


def _near_miss(columns: Columns) -> Guess:
    """No column, and which one is the likeliest although some of its values are repeated or missing."""
    nearly = {
        name: match(name, ID) + column.different / len(column.texts)
        for name, column in columns.items()
        if _may_be_id(name, column) and column.different >= max(1, _NEARLY_ONCE * len(column.texts))
    }
    if not nearly:
        return Guess(None, "no column looks like it", sure=False)
    name = max(nearly, key=lambda one: nearly[one])
    column = columns[name]
    wrong = [f"{value!r} {count} times" for value, count in column.repeated.items()]
    if empty := len(column.texts) - len(column.known):
        wrong.insert(0, f"{empty:,} empty")
    shown = f"{', '.join(wrong[:_SHOWN])}{', ...' if len(wrong) > _SHOWN else ''}"
    return Guess(None, f"{name!r} is the likeliest, but has {shown}", sure=False, others=(name,))


def guess_price(columns: Columns, identity: str | None, unpriced: Collection[str] = ()) -> Guess:
    """The column of the prices; ``unpriced`` as of ``guess_roles``."""
    numbers: dict[str, float] = {}
    for name, column in columns.items():
        if name == identity or name in unpriced or column.layout is None:
            continue
        known = column.numbers(column.layout)
        named_price = _names_price(name)
        if 0 < known.min() < known.max() and (named_price or not column.have_leading_zeros):
            numbers[name] = named_price
    named = {name: score for name, score in numbers.items() if score > 0}
    if named:
        return _best(named, "its name, and numbers above 0", sure_from=_SURE_NAME)
    if unpriced and len(numbers) == 1:
        return Guess(next(iter(numbers)), "numbers above 0 that the products to be predicted lack")
    # Costs and recommended prices are nearer to it than weights are.
    likely = sorted(numbers, key=lambda name: not ABOUT_PRICE & set(words_of(name)))
    return Guess(next(iter(likely), None), "numbers above 0", sure=False, others=tuple(likely[1:]))


def near_miss_of_price(columns: Columns) -> str:
    """The column that is called as prices are, and why it is not taken for them; nothing where there is none."""
    name = max(columns, key=_names_price)
    if _names_price(name) <= _SURE_NAME:
        return ""
    column = columns[name]
    if not column.known:
        why = "is empty"
    elif odd := column.not_numbers:
        values = f"{', '.join(map(repr, odd[:_SHOWN]))}{', ...' if len(odd) > _SHOWN else ''}"
        why = f"has {values}, {'none of them' if len(odd) > 1 else 'not'} a number"
    else:
        why = "has values that are not above 0, or one value everywhere"
    return f"{name!r} is the likeliest, but {why}"


def _names_price(name: str) -> float:
    """How well a name is that of prices: above 1 with a word for them, in whatever language; to 0.5 it may be another thing."""
    if named := match(name, PRICE):
        return 1 + named
    if alike := match(name, PRICE_LIKE):
        return alike / 2
    is_about_price = bool(ABOUT_PRICE & set(words_of(name)))  # such as a margin in EUR
    return _NAMED_CURRENCY if currency_in(name) and not is_about_price else 0.0


def _guess_image(columns: Columns, taken: Collection[str | None]) -> Guess:
    links = {name: 1 + match(name, IMAGE) for name, column in columns.items() if name not in taken and column.are_links}
    named = {name: score for name, score in links.items() if score > 1}
    if named:
        return _best(named, "its name, and links")
    pictures = {name: 1.0 for name in links if columns[name].has_pictures}
    return _best(pictures, "links of pictures") if pictures else Guess(None, "no column has links of pictures")


def _guess_currency(price: str | None) -> Guess:
    currency = currency_in(price or "")
    if currency:
        return Guess(currency, f"the name of {price!r}")
    why = (
        f"the $ in {price!r}, which is of several currencies"
        if "$" in (price or "")
        else "nothing says which: the default"
    )
    return Guess("USD", why, sure=False)


def _best(scores: Mapping[str, float], why: str, *, sure_from: float = 0.0) -> Guess:
    """The column with the highest score; not sure where another is as high, or none is high enough."""
    ranked = sorted(scores, key=lambda name: -scores[name])
    if not ranked:
        return Guess(None, "no column looks like it")
    best = ranked[0]
    others = tuple(name for name in ranked[1:] if scores[name] > 0)
    alone = len(ranked) < 2 or scores[ranked[1]] < scores[best]
    return Guess(best, why, sure=alone and scores[best] > sure_from, others=others)


def _tells(column: ColumnValues, prices: ColumnValues, layout: Layout) -> bool:
    """Whether numbers put products into nearly the order of their prices, as costs do."""
    return rank_correlation(column, prices, layout, _TOLD_ROWS) >= _TOLD_CORRELATION


def _kind_of(name: str, column: ColumnValues, layout: Layout) -> tuple[str, str]:
    """``text``, ``number``, ``category``, or "" and why it is left out."""
    known, different = len(column.known), column.different
    if different < 2:
        return "", "empty" if not different else "one value everywhere"
    if ABOUT_PRICE & set(words_of(name)):
        return "", "it may tell the price"
    if column.are_links:
        return "", "links"
    if column.are_dates:
        return "", "dates"
    if not column.are_numbers(layout):
        is_text = match(name, TITLE) or match(name, PROSE) or column.words >= _PROSE_WORDS
        return ("text", "") if is_text else _category(column, "{}: neither categories nor prose")
    if different == known and match(name, ID) > 0:
        return "", "another id"
    if column.have_leading_zeros:  # as numbers, 007 and 7 would be one
        return _category(column, "codes with leading zeros, {}: too many for categories")
    return "number", ""


def _category(column: ColumnValues, otherwise: str) -> tuple[str, str]:
    """As ``_kind_of``: a category, or why not, where ``{}`` stands for how many different values there are."""
    if column.different <= min(_MOST_CATEGORIES, max(2, _CATEGORY_SHARE * len(column.known))):
        return "category", ""
    return "", otherwise.format(f"{column.different:,} different values")
