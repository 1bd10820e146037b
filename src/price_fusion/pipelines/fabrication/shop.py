"""A made-up shop with columns of its own: SKUs, prices in EUR, a category, a brand and a weight, one matrix of embeddings.

Its products are those of the sample, told otherwise. The price of those to be predicted is empty.
"""

from __future__ import annotations

from price_fusion.datasets.fabricated_sample import FabricatedShop
from price_fusion.parameters import FabricationParameters

from .draws import Draws
from .encoders import QWEN, embed
from .latent_products import Products, draw_products
from .listings import write_catalog_contents, write_image_links
from .quantities import state_quantities
from .vocabulary import BRANDS, CATEGORIES

HEADER = ("sku", "title", "description", "category", "brand", "weight_g", "photo", "price_eur")
WIDTH = 384
"""Columns of the embeddings."""
_GRAMS = {"Ounce": 28, "Fl Oz": 30}
"""A unit weighs about as much; of what is counted, the weight is not stated."""


def make_shop(fabrication: FabricationParameters, seed: int) -> FabricatedShop:
    """Make up a shop: one file of all products, and embeddings of their texts.

    Args:
        fabrication: how many products have a price, and how many have none.
        seed: the same seed makes the same bits on each machine.
    """
    products = draw_products(fabrication, seed)
    texts = write_catalog_contents(products, state_quantities(products, seed), seed)
    links = write_image_links(products, seed)
    order = Draws(seed, "shop order").permutation(len(products))
    rows = [_row(products, row, texts[row], links[row], priced=row < fabrication.labelled) for row in order.tolist()]
    vectors = embed(QWEN, products, products.text_of, seed)[:, :WIDTH]
    return FabricatedShop(seed, fabrication.model_dump(), HEADER, rows, vectors[order])


def _row(products: Products, row: int, text: str, link: str, *, priced: bool) -> tuple[str, ...]:
    goods = CATEGORIES[int(products.category[row])]
    title, *lines = text.splitlines()
    told = [line.partition(": ")[2] for line in lines if not line.startswith(("Value: ", "Unit: "))]
    grams = _GRAMS.get(goods.unit, 0) * int(products.contents[row]) * int(products.packs[row]) // 100
    cents = max(1, int(products.price_cents[row]) * 9 // 10)
    return (
        f"{goods.name[:3].upper()}-{int(products.sample_ids[row]):06d}",
        title.partition(": ")[2],
        " ".join(told),
        goods.name,
        BRANDS[int(products.brand[row])],
        str(grams) if grams else "",
        link,
        f"{cents // 100}.{cents % 100:02d}" if priced else "",
    )
