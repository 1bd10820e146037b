"""Groups of products that share an image link or a text: kept whole by every split."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from price_fusion.lazy import pd

logger = logging.getLogger(__name__)

SHARED = ("image_link", "catalog_content")
"""Columns that products are grouped by."""
LARGE_SHARE, LARGE_LEAST = 0.05, 10
"""Of the products, and products: a group of more distorts a split that keeps it whole."""


def group_keys(products: pd.DataFrame) -> NDArray[np.int64]:
    """Number the groups of products that share an image link or a text, directly or through others.

    Empty links and texts are shared by nobody.

    Returns:
        (N,) group of each product, numbered by first appearance.
    """
    count = len(products)
    members, values, offset = [], [], count
    for column in SHARED:
        codes, uniques = pd.factorize(products[column].replace("", None))
        known = np.flatnonzero(codes >= 0)
        members.append(known)
        values.append(codes[known] + offset)
        offset += len(uniques)
    edges = (np.concatenate(members), np.concatenate(values))
    # A third of a second that commands such as ``kedro registry list`` need not wait for.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(offset, offset))
    _, labels = connected_components(graph, directed=False)
    keys, _ = pd.factorize(labels[:count])
    return np.asarray(keys, dtype=np.int64)


def warn_of_large_group(groups: NDArray[np.int64], products: pd.DataFrame, origin: str) -> None:
    """Warn if one group holds so many products that a split which keeps it whole misses its proportions.

    Args:
        groups: (N,) as ``group_keys`` gives them.
        products: (N,) rows with the columns ``SHARED``.
        origin: what the products are called in messages.
    """
    if not len(groups):
        return
    counts = np.bincount(groups)
    inside = groups == counts.argmax()
    if is_large(int(inside.sum()), len(groups)):
        found = {column: products.loc[inside, column].replace("", None).value_counts() for column in SHARED}
        column = max(SHARED, key=lambda name: found[name].max() if len(found[name]) else 0)
        most, count = found[column].index[0], int(found[column].iloc[0])
        warn_of_group(origin, int(inside.sum()), len(groups), column, str(most), count)


def is_large(rows: int, of: int) -> bool:
    """Whether a group of so many products is to be warned of."""
    return rows >= LARGE_LEAST and rows > LARGE_SHARE * of


def warn_of_group(origin: str, rows: int, of: int, column: str, most: str, count: int) -> None:
    """Say that a group is large, and which value of which column most of it share."""
    logger.warning(
        "%s: one group of products that share an image link or a text holds %s of %s products (%.0f %%); %s of them have the "
        "%s %r. Groups are kept whole, so the split can miss its proportions. If that is a placeholder, empty these fields.",
        origin,
        f"{rows:,}",
        f"{of:,}",
        100 * rows / of,
        f"{count:,}",
        column,
        most[:60],
    )
