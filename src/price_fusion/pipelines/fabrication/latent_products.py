"""Latent products: what they are, what they are worth, and which of them share a picture or a text.

``N`` products. All latents are integers, so that each machine draws the same ones. A picture shows category, brand and
``look``; a text tells category, brand, ``grade`` and ``claims``; ``Value`` and ``Unit`` tell the quantity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import ParameterError
from price_fusion.parameters import FabricationParameters

from .draws import Draws, Integers
from .price_quantiles import prices_by_rank
from .vocabulary import BRANDS_PER_DEPARTMENT, CATEGORIES, CLAIMS, DEPARTMENTS, GRADES, KINDS, PACKS
from .worth import Features, worth

_JOINING_PERCENT = 55
"""Share of the products that join the family of another one."""
_SAME_TEXT = 4
"""One in so many of the products that share an image share the text too."""


@dataclass(frozen=True)
class Products(Features):
    """Latents of N products; every array has N rows."""

    sample_ids: Integers
    contents: Integers
    """Contents of one pack, in hundredths of the category's unit."""
    packs: Integers
    image_of: Integers
    """The product whose picture this one shows: itself, or the one it shares with."""
    text_of: Integers
    has_image: NDArray[np.bool_]
    price_cents: Integers

    def __len__(self) -> int:
        return len(self.sample_ids)


def draw_products(fabrication: FabricationParameters, seed: int) -> Products:
    """Draw labelled and unlabelled products from one and the same model.

    Args:
        fabrication: how many products, and what share of them lacks or shares an image.
        seed: sets all draws.

    Returns:
        ``labelled + unlabelled`` products, the labelled ones first.

    Raises:
        ParameterError: if no product would be left that has an image of its own.
    """
    count = fabrication.labelled + fabrication.unlabelled
    image_of, text_of, has_image = _draw_sharing(fabrication, seed)
    draws = Draws(seed, "products")
    family = _draw_families(draws, count)
    shown, told = family[image_of], family[text_of]
    category = draws.below(len(CATEGORIES), count)
    brand = _draw_brands(draws, category, count)[shown]
    category = category[shown]
    kind = draws.below(KINDS, count, 2).min(axis=1)[image_of]
    look = draws.bell(count, 2)[:, 0].astype(np.int64)[shown]
    grade = _draw_grades(draws, count)[told]
    claims = _draw_claims(draws, count)[told]
    size = draws.below(len(CATEGORIES[0].sizes), count)[text_of]
    packs = np.array(PACKS)[draws.below(len(PACKS), count)][text_of]
    log_quantity = _log_quantity(category, size, packs)
    features = Features(shown, category, kind, brand, grade, claims, look, log_quantity)
    return Products(
        **vars(features),
        sample_ids=Draws(seed, "sample ids").permutation(2 * count)[:count],
        contents=_contents_table()[category, size],
        packs=packs,
        image_of=image_of,
        text_of=text_of,
        has_image=has_image,
        price_cents=prices_by_rank(worth(features, seed)),
    )


def _draw_sharing(fabrication: FabricationParameters, seed: int) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Whose image and whose text each product has, its own or that of another, and whether there is an image. Shape (N,) each."""
    count = fabrication.labelled + fabrication.unlabelled
    without = int(count * fabrication.without_image)
    sharing = int(count * fabrication.shared_image)
    if without + sharing >= count:
        raise ParameterError(
            f"fabrication.without_image {fabrication.without_image} and fabrication.shared_image "
            f"{fabrication.shared_image} leave none of {count} products with an image of its own: lower one of them"
        )
    draws = Draws(seed, "sharing")
    order = draws.permutation(count)
    lacking, sharers, owners = np.split(order, [without, without + sharing])
    image_of, text_of = np.arange(count), np.arange(count)
    image_of[sharers] = owners[draws.below(len(owners), sharing)]
    same_text = sharers[: sharing // _SAME_TEXT]
    text_of[same_text] = image_of[same_text]
    has_image = np.ones(count, dtype=np.bool_)
    has_image[lacking] = False
    return image_of, text_of, has_image


def _draw_families(draws: Draws, count: int) -> Integers:
    """The first product of each product's family: products join the family of one before them, or found one.

    As large families grow faster than small ones, there are few large and many small ones. Shape (N,).
    """
    order = draws.permutation(count)
    before = (draws.below(1 << 31, count) * np.arange(count)) >> 31
    first = np.where(draws.below(100, count) < _JOINING_PERCENT, before, np.arange(count))
    while not np.array_equal(first, first[first]):
        first = first[first]
    family = np.empty(count, dtype=np.int64)
    family[order] = order[first]
    return family


def _draw_brands(draws: Draws, category: Integers, count: int) -> Integers:
    """A brand of the category's department; the smallest of three draws, so that few are common and many are rare."""
    department = np.array([entry.department for entry in CATEGORIES])[category]
    within = draws.below(BRANDS_PER_DEPARTMENT, count, 3).min(axis=1)
    brand: Integers = within * DEPARTMENTS + department
    return brand


def _draw_grades(draws: Draws, count: int) -> Integers:
    """Two draws added: the middle grade is the most common."""
    halves = draws.below(len(GRADES) // 2 + 1, count, 2)
    grade: Integers = halves.sum(axis=1)
    return grade


def _draw_claims(draws: Draws, count: int) -> Integers:
    percent = np.array([claim.percent for claim in CLAIMS])
    return (draws.below(100, count, len(CLAIMS)) < percent).astype(np.int64)


@cache
def _contents_table() -> Integers:
    """Shape (categories, sizes), in hundredths of the unit."""
    return np.array([[round(100 * size) for size in entry.sizes] for entry in CATEGORIES], dtype=np.int64)


def log_points(value: float) -> int:
    """100 times the natural logarithm, rounded.

    A library's last bit could only matter next to a half; the tests see that no size or pack comes near one.
    """
    return round(100 * math.log(value))


def _log_quantity(category: Integers, size: Integers, packs: Integers) -> Integers:
    sizes = np.array([[log_points(size) for size in entry.sizes] for entry in CATEGORIES], dtype=np.int64)
    by_packs = {number: log_points(number) for number in PACKS}
    mean_packs = sum(by_packs[number] for number in PACKS) // len(PACKS)
    pack_points = np.array([by_packs.get(number, 0) for number in range(max(PACKS) + 1)], dtype=np.int64)
    centred = sizes - sizes.sum(axis=1, keepdims=True) // sizes.shape[1]
    points: Integers = centred[category, size] + pack_points[packs] - mean_packs
    return points
