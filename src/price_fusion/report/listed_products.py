"""Best and worst products, with what a person recognises them by. Their texts are untrusted and stay text."""

from __future__ import annotations

import base64
import io
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from price_fusion.data.ids import are_among
from price_fusion.errors import DataError
from price_fusion.models.unit_prices import PREDICTED_UNIT_PRICE, UNIT, UNIT_PRICE
from price_fusion.report.page import Product, UnitPrices

SNIPPET = 220
"""Characters of a product's text at most."""
THUMBNAIL = 192
"""Pixels of a picture's longer side: twice those shown, for dense screens."""
ENDINGS = ("jpg", "jpeg", "png", "webp")


def extreme_products(
    extremes: pd.DataFrame, products: pd.DataFrame, pictures: Path | None
) -> dict[str, Sequence[Product]]:
    """The worst and the best products by heading.

    Args:
        extremes: as ``summarise`` gives them.
        products: the product table, with ``catalog_content`` and ``image_link`` where it has them.
        pictures: folder with ``<sample_id>.jpg`` or another of ``ENDINGS``; None: links are shown instead.

    Raises:
        DataError: if the folder is not there.
    """
    if pictures is not None and not pictures.is_dir():
        raise DataError(
            f"{pictures}: is no folder, expected one with pictures named <id>.jpg. Set report.images to it, or to null."
        )
    shown = products[are_among(products["sample_id"], extremes["sample_id"])]
    known = {str(row["sample_id"]): row for row in shown.to_dict(orient="records")}
    headings = {"worst": "Largest errors", "best": "Closest"}
    return {
        heading: [
            _product(row, known, pictures) for row in extremes[extremes["extreme"] == extreme].to_dict(orient="records")
        ]
        for extreme, heading in headings.items()
    }


def _product(
    row: Mapping[Hashable, Any], known: Mapping[str, Mapping[Hashable, Any]], pictures: Path | None
) -> Product:
    name = str(row["sample_id"])
    about = known.get(name, {})
    picture = _picture(pictures, name) if pictures else None
    return Product(
        sample_id=name,
        price=row["price"],
        predicted=row["predicted"],
        smape=row["smape"],
        interval=(row["price_low"], row["price_high"]) if "price_low" in row else None,
        unit_prices=_unit_prices(row),
        text=_snippet(about.get("catalog_content")),
        link=None if picture else _link(about.get("image_link")),
        picture=picture,
    )


def _unit_prices(row: Mapping[Hashable, Any]) -> UnitPrices | None:
    unit = row.get(UNIT)
    return UnitPrices(unit, row[UNIT_PRICE], row[PREDICTED_UNIT_PRICE]) if isinstance(unit, str) else None


def _snippet(text: object) -> str:
    """The beginning of a text on one line."""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return words if len(words) <= SNIPPET else f"{words[: SNIPPET - 1].rstrip()}…"


def _link(link: object) -> str | None:
    """A link that a browser may follow; anything but the web is left out."""
    if not isinstance(link, str) or urlsplit(link.strip()).scheme not in ("http", "https"):
        return None
    return link.strip()


def _picture(folder: Path, name: str) -> str | None:
    """A small picture as a data URI, if the folder has one of that product.

    Raises:
        DataError: if the file is no picture.
    """
    # An id is a name, not a path: one with a separator has no picture.
    found = [folder / f"{name}.{ending}" for ending in ENDINGS if Path(name).name == name]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return None
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise DataError(f"{path}: is no readable picture ({error}). Replace or remove it.") from error
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
