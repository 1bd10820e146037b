"""Made-up products with their files, as labelled and as unlabelled ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from price_fusion.datasets.fabricated_sample import EmbeddingFile, FabricatedSample, ProductFile, SamplePart
from price_fusion.parameters import FabricationParameters

from .draws import Draws
from .encoders import CLIP, QWEN, SIGLIP_IMAGE, SIGLIP_TEXT, Matrix, embed, structural_columns
from .latent_products import Products, draw_products
from .listings import write_catalog_contents, write_image_links
from .quantities import state_quantities


def make_sample(fabrication: FabricationParameters, seed: int) -> FabricatedSample:
    """Make up products, their texts, prices and embeddings.

    Args:
        fabrication: how many, and what share lacks or shares an image.
        seed: the same seed makes the same bits on each machine.

    Returns:
        Labelled products as ``train``, unlabelled ones as ``test``.
    """
    products = draw_products(fabrication, seed)
    stated = state_quantities(products, seed)
    texts = write_catalog_contents(products, stated, seed)
    links = write_image_links(products, seed)
    vectors = {
        "clip": embed(CLIP, products, products.image_of, seed),
        "siglip_image": embed(SIGLIP_IMAGE, products, products.image_of, seed),
        "siglip_text": embed(SIGLIP_TEXT, products, products.text_of, seed),
        "qwen": np.hstack([embed(QWEN, products, products.text_of, seed), structural_columns(stated, seed)]),
    }
    rows = np.arange(len(products))
    train, test = rows[: fabrication.labelled], rows[fabrication.labelled :]
    return FabricatedSample(
        seed=seed,
        parameters=fabrication.model_dump(),
        train=_part("train", train, products, texts, links, vectors, seed),
        test=_part("test", test, products, texts, links, vectors, seed),
    )


def _part(
    name: str,
    rows: NDArray[np.int64],
    products: Products,
    texts: list[str],
    links: list[str],
    vectors: dict[str, Matrix],
    seed: int,
) -> SamplePart:
    """One half of the sample; each file in an order of its own."""
    shuffle = Draws(seed, f"{name} order")
    listed, qwen_rows, clip_rows, siglip_rows = (rows[shuffle.permutation(len(rows))] for _ in range(4))
    clip_rows = clip_rows[products.has_image[clip_rows]]
    siglip_rows = siglip_rows[products.has_image[siglip_rows]]
    ids = products.sample_ids
    return SamplePart(
        products=ProductFile(
            sample_ids=ids[listed],
            catalog_contents=[texts[row] for row in listed],
            image_links=[links[row] for row in listed],
            price_cents=products.price_cents[listed] if name == "train" else None,
        ),
        clip_image=EmbeddingFile(ids[clip_rows], vectors["clip"][clip_rows]),
        siglip_image=EmbeddingFile(ids[siglip_rows], vectors["siglip_image"][siglip_rows]),
        siglip_text=EmbeddingFile(ids[siglip_rows], vectors["siglip_text"][siglip_rows]),
        qwen_text=EmbeddingFile(ids[qwen_rows], vectors["qwen"][qwen_rows]),
    )
