"""What products are worth: a market in which nothing adds up as simply as a linear model would like.

Levels of categories, kinds and brands add up, but a brand counts more in one category than in another, each family of
products has a level of its own, and how much grade, claims, look and quantity count depends on the category. What nothing
shows is noise: wider in some categories than in others, and with heavy tails.

Worths are in points: 100 points are one unit of the natural logarithm of a price, before prices are given by rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .draws import BELL_DEVIATION, Draws, Integers
from .vocabulary import BRANDS, BRANDS_PER_DEPARTMENT, CATEGORIES, CLAIMS, DEPARTMENTS, GRADE_WORTHS, KINDS

_SCALE = 100
"""Worths are computed in hundredths of a point, which keeps percents whole."""

# Points that one standard deviation is worth. They are set so that models rank as on real products (docs/sample-data.md).
_BRAND_DEVIATION = 22
_BRAND_IN_CATEGORY_DEVIATION = 26
_KIND_DEVIATION = 20
_FAMILY_DEVIATION = 30
_LOOK_DEVIATION = 20
_STRIKING = 24
"""Points per standard deviation by which a look is better than most: packaging is noticed if it is striking."""
_NOISE_DEVIATION = 40
_WILD = 8
"""One in so many products has a price that is off by three times as much."""


@dataclass(frozen=True)
class Features:
    """What the worth of N products depends on; every array has N rows."""

    family: Integers
    """A number below N: products of a family are one brand's goods of one grade, in several kinds and sizes."""
    category: Integers
    kind: Integers
    """Within the category."""
    brand: Integers
    grade: Integers
    claims: Integers
    """Shape (N, claims), 0 or 1."""
    look: Integers
    """How good the packaging looks, standard deviation ``BELL_DEVIATION``. Only the picture shows it."""
    log_quantity: Integers
    """Points: 100 times the natural logarithm of contents times packs, less the category's mean."""


def worth(features: Features, seed: int) -> Integers:
    """Hundredths of a point, shape (N,)."""
    market = Draws(seed, "market")
    levels = _levels(features, market)
    category = features.category
    grades = np.array(GRADE_WORTHS)[features.grade] * _percents(market, 1, 50)[category, 0]
    claim_worths = np.array([claim.worth for claim in CLAIMS]) * _percents(market, len(CLAIMS), 70)
    claims = (features.claims * claim_worths[category]).sum(axis=1)
    quantity_percent = np.array([entry.quantity_percent for entry in CATEGORIES])[category]
    quantity = quantity_percent * features.log_quantity
    total: Integers = levels + grades + claims + _look(features) + quantity + _noise(features, market, seed)
    return total


def _levels(features: Features, market: Draws) -> Integers:
    """Of categories, kinds, brands and families."""
    category, kind, brand = features.category, features.kind, features.brand
    brand_in_department = brand // DEPARTMENTS
    kinds = _bells(market, len(CATEGORIES), KINDS, deviation=_KIND_DEVIATION)
    brands = _bells(market, len(BRANDS), deviation=_BRAND_DEVIATION)
    there = _bells(market, len(CATEGORIES), BRANDS_PER_DEPARTMENT, deviation=_BRAND_IN_CATEGORY_DEVIATION)
    families = _bells(market, len(category), deviation=_FAMILY_DEVIATION)
    levels = _SCALE * np.array([entry.worth for entry in CATEGORIES])[category]
    levels += kinds[category, kind] + brands[brand]
    levels += there[category, brand_in_department] + families[features.family]
    return levels


def _look(features: Features) -> Integers:
    look_percent = np.array([entry.look_percent for entry in CATEGORIES])[features.category]
    striking = np.maximum(features.look - BELL_DEVIATION // 2, 0)
    worths: Integers = look_percent * (features.look * _LOOK_DEVIATION + striking * _STRIKING) // BELL_DEVIATION
    return worths


def _noise(features: Features, market: Draws, seed: int) -> Integers:
    """Twice as wide in the most erratic category as in the steadiest one, and three times as wide for one product in some."""
    draws = Draws(seed, "price noise")
    count = len(features.category)
    percent = (66 + market.below(67, len(CATEGORIES)))[features.category]
    wild = np.where(draws.below(_WILD, count) == 0, 3, 1)
    bell = draws.bell(count, 2)[:, 0].astype(np.int64)
    noise: Integers = bell * wild * _NOISE_DEVIATION * percent // BELL_DEVIATION
    return noise


def _bells(market: Draws, *shape: int, deviation: int) -> Integers:
    """Bell-shaped levels of such a standard deviation in points, in hundredths."""
    count = int(np.prod(shape))
    bell = market.bell(count, 2)[:, 0].astype(np.int64).reshape(shape)
    levels: Integers = bell * deviation * _SCALE // BELL_DEVIATION
    return levels


def _percents(market: Draws, columns: int, deviation: int) -> Integers:
    """How much something counts in each category: 100 on average, never below 0. Shape (categories, columns)."""
    percents: Integers = np.maximum(100 + _bells(market, len(CATEGORIES), columns, deviation=deviation) // _SCALE, 0)
    return percents
