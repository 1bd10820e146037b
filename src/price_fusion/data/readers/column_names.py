"""What the columns of a shop's product files are called, and what they are called inside.

Inside, products have ``sample_id``, ``catalog_content``, ``image_link`` and ``price``. Files that a user reads back have
the shop's own names for the id and the price, and messages its names for all of them: a table of products carries these
as an attribute (``ColumnNames.attributes``, ``called``).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from price_fusion.data.placeholders import without_placeholders
from price_fusion.errors import ParameterError
from price_fusion.lazy import pd
from price_fusion.parameters.data import TEXT_COLUMN

ID, TEXT, IMAGE, PRICE = "sample_id", TEXT_COLUMN, "image_link", "price"
INSIDE = (ID, TEXT, IMAGE, PRICE)
CALLED = "called"
"""Attribute of a table of products: what the shop calls its columns, where that differs."""
TEMPLATE = "template"
"""Attribute of such a table: how several text columns were joined, where not by ``joined``'s default."""
RESERVED = frozenset(
    (
        "split",
        "tuned_on",
        "predicted",
        "absolute_error",
        "smape",
        "unit",
        "unit_price",
        "predicted_unit_price",
        "extreme",
        "fold",
        "kind",
        "source",
        "of",
        "among",
        "counterpart",
    )
)
"""Other columns of files that a user reads back."""
_KEYS = ("id", "price", "text", "image", "template")
_EXPECTED = "expected columns such as {id: sku, price: price_eur, text: [title, description], image: photo}"


@dataclass(frozen=True)
class ColumnNames:
    """The columns of product files.

    Raises:
        ParameterError: if two of them are one, or a name or the template cannot be used.
    """

    id: str = ID
    price: str = PRICE
    text: tuple[str, ...] = (TEXT,)
    """Joined to one text; none: products have no text."""
    image: str | None = IMAGE
    """Link of a picture; None: products have none."""
    template: str | None = None
    """Joins the texts, as ``"{title}: {description}"``; None: a line each, empty ones left out."""

    def __post_init__(self) -> None:
        taken = [name for name in (self.id, self.price) if name in RESERVED or name.startswith(("price_low", "seed_"))]
        if taken:
            raise ParameterError(
                f"columns: {', '.join(taken)} is the name of another column of the results, expected names of its own for id "
                "and price. Rename the column in the product files."
            )
        names = [self.id, self.price, *self.text, *([self.image] if self.image else [])]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ParameterError(f"columns: {', '.join(twice)} is named twice, expected each column once.")
        try:
            fields = {field for _, field in self.pieces if field is not None}
        except ValueError as error:
            raise ParameterError(f"columns.template: found {self.template!r} ({error}).") from error
        if self.template is not None and (not fields or not fields <= set(self.text)):
            raise ParameterError(
                f"columns.template: found {self.template!r}, expected names of columns.text in braces: "
                f"{', '.join(f'{{{name}}}' for name in self.text)}."
            )

    @property
    def pieces(self) -> list[tuple[str, str | None]]:
        """Of the template: plain text, and the column that follows it, with its format if it has one."""
        parsed = string.Formatter().parse(self.template or "")
        return [
            (plain, name if name is None else f"{name}{f'!{how}' if how else ''}{f':{spec}' if spec else ''}")
            for plain, name, spec, how in parsed
        ]

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None) -> ColumnNames:
        """As configured; by default those of inside.

        Args:
            columns: ``id`` and ``price``, and those of ``text`` (a name or several), ``image`` and ``template`` that there are.

        Raises:
            ParameterError: naming the key that is missing, unknown or of another type.
        """
        if columns is None:
            return cls()
        if not isinstance(columns, Mapping):
            raise ParameterError(f"columns: found {columns!r}, {_EXPECTED}.")
        unknown = [str(name) for name in columns if name not in _KEYS]
        missing = [name for name in ("id", "price") if not columns.get(name)]
        if unknown or missing:
            what = [f"unknown: {', '.join(unknown)}"] if unknown else []
            what += [f"missing: {', '.join(missing)}"] if missing else []
            raise ParameterError(f"columns: {'; '.join(what)}; {_EXPECTED}.")
        given = columns.get("text") or ()
        text = (given,) if isinstance(given, str) else tuple(given)
        names = [columns["id"], columns["price"], *text, columns.get("image") or "", columns.get("template") or ""]
        if wrong := [name for name in names if not isinstance(name, str)]:
            raise ParameterError(f"columns: found {', '.join(map(repr, wrong))}, {_EXPECTED}.")
        return cls(columns["id"], columns["price"], text, columns.get("image"), columns.get("template"))

    def needed(self, *, labelled: bool) -> list[str]:
        """Columns that a file must have."""
        return [self.id, *self.text, *([self.image] if self.image else []), *([self.price] if labelled else [])]

    @property
    def read_back(self) -> dict[str, str]:
        """The shop's name of each column that is called otherwise inside, in files that a user reads back."""
        return {inside: own for inside, own in ((ID, self.id), (PRICE, self.price)) if inside != own}

    @property
    def inside(self) -> dict[str, str]:
        """The other way round: what columns of such files are called inside."""
        return {own: inside for inside, own in self.read_back.items()}

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes ``CALLED`` and ``TEMPLATE`` of a table of these products; none where nothing differs from inside."""
        own = {ID: [self.id], PRICE: [self.price], TEXT: [*self.text], IMAGE: [self.image] if self.image else []}
        differing = {inside: names for inside, names in own.items() if names != [inside]}
        template = {TEMPLATE: self.template} if self.template is not None else {}
        return ({CALLED: differing} if differing else {}) | template

    def as_inside(self, columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """The columns of a file with the names of inside, then the others.

        Args:
            columns: (N,) texts by the names of the file; the price may be missing.

        Returns:
            as given, but for placeholders for no text, which are empty. A column of the file that is none of these, and has
            the name of one, is left out.
        """
        empty = [""] * len(columns[self.id])
        found: dict[str, Sequence[str]] = {
            ID: columns[self.id],
            TEXT: joined({name: columns[name] for name in self.text}, self.template) if self.text else empty,
            IMAGE: without_placeholders(columns[self.image]) if self.image else empty,
        }
        if self.price in columns:
            found[PRICE] = columns[self.price]
        own = {self.id, self.price}
        return found | {name: column for name, column in columns.items() if name not in own and name not in INSIDE}


def joined(columns: Mapping[str, Sequence[str]], template: str | None) -> Sequence[str]:
    """(N,) the text of each product.

    Args:
        columns: (N,) texts by the names of the file; placeholders for no text count as empty.
        template: as of ``ColumnNames``.
    """
    texts = [without_placeholders(column) for column in columns.values()]
    if template is None:
        if len(texts) == 1:
            return texts[0]
        return ["\n".join(filter(None, map(str.strip, row))) for row in zip(*texts, strict=True)]
    return [
        template.format(**dict(zip(columns, row, strict=True))).strip() if any(row) else ""
        for row in zip(*texts, strict=True)
    ]


def called(products: pd.DataFrame, column: str) -> str:
    """What the shop calls a column of a table of products; several for a text of several, "" where the shop has none."""
    return ", ".join(names_of(products, column))


def columns_of_file(products: pd.DataFrame) -> list[str]:
    """The columns of a table of products by their names in the shop's file."""
    return list(dict.fromkeys(own for column in products.columns for own in names_of(products, str(column))))


def names_of(products: pd.DataFrame, column: str) -> list[str]:
    """The columns of the shop's file that a column of a table of products is made of."""
    names: list[str] = products.attrs.get(CALLED, {}).get(column, [column])
    return names
