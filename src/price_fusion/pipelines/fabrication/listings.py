"""Catalog texts and image links, in the shape of the real ones and in invented words."""

from __future__ import annotations

from dataclasses import dataclass

from .draws import Draws
from .latent_products import Products
from .quantities import NOT_STATED, SPELLINGS, StatedQuantities
from .vocabulary import BRANDS, CATEGORIES, CLAIMS, DESCRIPTION_SENTENCES, FILLER_SENTENCES, GRADES

_LINK = "https://images.price-fusion.example/I/{:07x}.jpg"
"""The top-level domain ``.example`` is reserved: these links lead nowhere, on any machine."""

_ROLLS = 12


@dataclass(frozen=True)
class _Listing:
    """What the text of one product has to say."""

    brand: str
    category: str
    kind: str
    grade: str
    claims: tuple[int, ...]
    purpose: str
    quantity: str
    tail: str
    """The lines ``Value`` and ``Unit``."""


def write_catalog_contents(products: Products, stated: StatedQuantities, seed: int) -> list[str]:
    """One text a product: item name, bullet points and description where it has them, ``Value`` and ``Unit``.

    Returns:
        N texts; products that share a text have equal ones.
    """
    rolls = Draws(seed, "texts").below(1 << 16, len(products), _ROLLS).tolist()
    tails = _quantity_lines(stated)
    rows = zip(
        products.text_of.tolist(),
        products.category.tolist(),
        products.kind.tolist(),
        products.brand.tolist(),
        products.grade.tolist(),
        products.claims.tolist(),
        products.contents.tolist(),
        products.packs.tolist(),
        tails,
        strict=True,
    )
    texts = []
    for owner, category, kind, brand, grade, claims, contents, packs, tail in rows:
        roll = rolls[owner]
        goods = CATEGORIES[category]
        listing = _Listing(
            brand=BRANDS[brand],
            category=goods.name,
            kind=goods.kinds[kind],
            grade=GRADES[grade],
            claims=tuple(index for index, claimed in enumerate(claims) if claimed),
            purpose=goods.purpose,
            quantity=_quantity_words(contents, goods.unit, packs, roll[1]),
            tail=tail,
        )
        texts.append(_catalog_content(listing, roll))
    return texts


def write_image_links(products: Products, seed: int) -> list[str]:
    """One link a product; equal for products that share an image, and a link of its own for one without image."""
    codes = Draws(seed, "image links").permutation(2 * len(products))[products.image_of]
    return [_LINK.format(code * 97 + 4096) for code in codes.tolist()]


def _catalog_content(listing: _Listing, roll: list[int]) -> str:
    lines = [f"Item Name: {_item_name(listing, roll)}", *_bullet_points(listing, roll)]
    if roll[9] % 100 < 43:
        first = roll[10] % len(DESCRIPTION_SENTENCES)
        second = roll[11] % len(DESCRIPTION_SENTENCES)
        lines.append(
            f"Product Description: {listing.grade} {listing.kind.lower()} {listing.category.lower()} "
            f"by {listing.brand}, for {listing.purpose}. {DESCRIPTION_SENTENCES[first]} {DESCRIPTION_SENTENCES[second]}"
        )
    return "\n".join(lines) + "\n" + listing.tail


def _item_name(listing: _Listing, roll: list[int]) -> str:
    """Brand, grade, kind and category, some of the claims, and mostly the quantity."""
    claims = [CLAIMS[index].title for index in listing.claims[:2]]
    goods = f"{listing.kind} {listing.category}"
    if roll[2] % 3 == 0:
        parts = [f"{listing.brand} {goods}", listing.grade, *claims]
    elif roll[2] % 3 == 1:
        parts = [f"{listing.brand} {listing.grade} {goods}", *claims]
    else:
        parts = [" ".join([listing.brand, *claims, goods]), listing.grade]
    if roll[3] % 10:
        parts.append(listing.quantity)
    return (" - " if roll[4] % 5 == 0 else ", ").join(parts)


def _bullet_points(listing: _Listing, roll: list[int]) -> list[str]:
    """None in a fifth of the listings; otherwise the claims, a purpose and some filling."""
    if roll[5] % 5 == 0:
        return []
    sentences = [CLAIMS[index].sentence for index in listing.claims]
    sentences.append(f"MADE FOR: {listing.purpose}")
    sentences += [FILLER_SENTENCES[draw % len(FILLER_SENTENCES)] for draw in roll[6 : 7 + roll[8] % 3]]
    return [f"Bullet Point {number}: {sentence}" for number, sentence in enumerate(sentences, start=1)]


def _quantity_words(contents: int, unit: str, packs: int, roll: int) -> str:
    size = f"{contents / 100:g}"
    short = {"Ounce": "oz", "Fl Oz": "fl oz", "Count": "ct"}[unit]
    if packs == 1:
        return f"{size} {unit}" if roll % 2 else f"{size} {short}"
    return (f"{size} {unit} (Pack of {packs})", f"{size}{short}, Pack of {packs}", f"{packs} x {size} {unit}")[roll % 3]


def _quantity_lines(stated: StatedQuantities) -> list[str]:
    lines = []
    columns = (stated.hundredths.tolist(), stated.spelling.tolist(), stated.lines_left_out.tolist())
    for hundredths, spelling, left_out in zip(*columns, strict=True):
        value = "None" if hundredths == NOT_STATED else str(hundredths / 100)
        unit = "None" if spelling == NOT_STATED else SPELLINGS[spelling].text
        lines.append("" if left_out else f"Value: {value}\nUnit: {unit}\n")
    return lines
