"""Train, validation and holdout: stratified on price, groups kept together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.ids import Ids, are_among, described_lookalikes, ids_of, lacking, lookalikes
from price_fusion.data.money import rounded
from price_fusion.errors import AlignmentError, DataError

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "holdout")
NO_FOLD = -1
"""Fold of rows that never are a fold's validation rows: holdout, and rows that an encoder was tuned on."""


def split_samples(
    samples: pd.DataFrame,
    *,
    fractions: Sequence[float],
    price_quantiles: int,
    folds: int,
    tuned_on: Mapping[str, Ids],
    seed: int,
) -> pd.DataFrame:
    """Assign each product to a split and to a cross-validation fold.

    Whole groups are dealt, stratum by stratum: a stratum holds the groups whose mean log price falls between two
    quantiles. Groups with a product that some encoder was tuned on go to train.

    Args:
        samples: the sample table, labelled.
        fractions: shares of train, validation and holdout, summing to 1.
        price_quantiles: number of strata.
        folds: number of folds over train and validation together.
        tuned_on: per source, the ids that its encoder was tuned on.
        seed: of the shuffle.

    Returns:
        ``sample_id``, ``split``, ``fold`` (-1: in no fold's validation rows), ``tuned_on`` (bool), in the order of
        ``samples``.

    Raises:
        DataError: if a split that should have rows gets none.
        AlignmentError: if more of the ids that an encoder was tuned on look like those of products than are such.
    """
    generator = np.random.default_rng(seed)
    _, groups = np.unique(samples["group_key"].to_numpy(), return_inverse=True)
    sizes = np.bincount(groups)
    log_price = np.log1p(samples["price"].to_numpy(np.float64))
    strata = _strata(np.bincount(groups, weights=log_price) / sizes, price_quantiles)
    tuned = np.zeros(len(samples), dtype=bool)
    for source, ids in tuned_on.items():
        tuned |= _tuned(samples, ids, source)
    bound = np.zeros(len(sizes), dtype=bool)
    bound[groups[tuned]] = True

    split_of_group = np.zeros(len(sizes), dtype=np.int64)
    split_of_group[~bound] = _deal(strata[~bound], sizes[~bound], fractions, generator)
    fold_of_group = np.full(len(sizes), NO_FOLD)
    foldable = ~bound & (split_of_group != SPLITS.index("holdout"))
    fold_of_group[foldable] = _deal(strata[foldable], sizes[foldable], [1 / folds] * folds, generator)

    table = pd.DataFrame(
        {
            "sample_id": samples["sample_id"].to_numpy(),
            "split": np.array(SPLITS)[split_of_group[groups]],
            "fold": fold_of_group[groups],
            "tuned_on": tuned,
        }
    )
    _refuse_empty_splits(table, fractions, int(tuned.sum()))
    return table


def deal_groups(
    groups: NDArray[np.int64],
    prices: NDArray[np.float64],
    fractions: Sequence[float],
    price_quantiles: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Part of each row when whole groups are dealt, each part with its fraction of each price quantile.

    Args:
        groups: (N,) label of each row's group.
        prices: (N,) prices.
        fractions: of the parts, summing to 1.
        price_quantiles: number of strata; reduced when the smallest part would get less than one group per stratum.
        generator: of the shuffle.
    """
    _, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    # More strata than the smallest part has groups would leave it to chance whether that part gets any.
    least = min(fraction for fraction in fractions if fraction > 0)
    price_quantiles = max(1, min(price_quantiles, int(least * len(sizes) + 1e-9)))
    strata = _strata(np.bincount(index, weights=np.log1p(prices)) / sizes, price_quantiles)
    parts = _deal(strata, sizes, fractions, generator)
    _fill_empty_parts(parts, sizes, fractions)
    return parts[index]


def _fill_empty_parts(parts: NDArray[np.int64], sizes: NDArray[np.int64], fractions: Sequence[float]) -> None:
    """Give each part that should have some and got none the smallest group of the part with the most groups."""
    for part, fraction in enumerate(fractions):
        counts = np.bincount(parts, minlength=len(fractions))
        donor = int(counts.argmax())
        if fraction > 0 and not counts[part] and counts[donor] > 1:
            own = np.flatnonzero(parts == donor)
            parts[own[sizes[own].argmin()]] = part


def report_split(samples: pd.DataFrame, split_table: pd.DataFrame, tuned_on: Mapping[str, Ids]) -> dict[str, Any]:
    """Count rows, groups and prices per split, and the rows that encoders were tuned on.

    Returns:
        ``splits``: per split its rows, groups, median and mean price in currency units; ``folds``: rows per fold; ``tuned_on``:
        per source the ids named and the rows found.
    """
    table = split_table.assign(price=samples["price"].to_numpy(), group_key=samples["group_key"].to_numpy())
    splits = {
        name: {
            "rows": len(rows),
            "groups": int(rows["group_key"].nunique()),
            "median_price": rounded(rows["price"].median()) if len(rows) else None,
            "mean_price": rounded(rows["price"].mean()) if len(rows) else None,
            "rows_tuned_on": int(rows["tuned_on"].sum()),
        }
        for name in SPLITS
        for rows in [table[table["split"] == name]]
    }
    in_folds = table.loc[table["fold"] != NO_FOLD, "fold"].value_counts().sort_index()
    return {
        "rows": len(table),
        "splits": splits,
        "folds": {str(fold): int(rows) for fold, rows in in_folds.items()},
        "tuned_on": {
            source: {"ids": len(ids), "rows": int(are_among(table["sample_id"], ids).sum())}
            for source, ids in tuned_on.items()
        },
    }


def _tuned(samples: pd.DataFrame, ids: Ids, source: str) -> NDArray[np.bool_]:
    """(N,) whether a source's encoder was tuned on each product."""
    known = ids_of(samples["sample_id"])
    found = are_among(known, ids)
    # A row that is not recognised here ends up in the holdout, and nothing else would show it.
    alike = lookalikes(lacking(ids, known), known[~found])
    if alike and len(alike) >= found.sum():
        raise AlignmentError(
            f"{source}.tuned_on_ids: {int(found.sum())} of its {len(ids)} ids are those of products, and "
            f"{described_lookalikes(alike)}."
        )
    if alike:
        logger.warning("%s.tuned_on_ids: %s", source, described_lookalikes(alike))
    return found


def _strata(values: NDArray[np.float64], quantiles: int) -> NDArray[np.int64]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, quantiles + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _deal(
    strata: NDArray[np.int64],
    sizes: NDArray[np.int64],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Deal groups to parts so that each part gets its fraction of the rows of each stratum.

    A group goes to the part in which a point of its rows falls when the shuffled groups of its stratum are laid
    end to end; a random offset per stratum spreads what rounding leaves over.
    """
    last = int(np.flatnonzero(fractions)[-1])
    bounds = np.cumsum(fractions)[:last]
    parts = np.empty(len(strata), dtype=np.int64)
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        ends = np.cumsum(sizes[members])
        points = (ends - sizes[members] * (1 - generator.uniform())) / ends[-1]
        parts[members] = np.searchsorted(bounds, points, side="right")
    return parts


def _refuse_empty_splits(table: pd.DataFrame, fractions: Sequence[float], tuned_rows: int) -> None:
    for name, fraction in zip(SPLITS, fractions, strict=True):
        if fraction > 0 and not (table["split"] == name).any():
            raise DataError(
                f"split {name!r} gets none of the {len(table)} products, though splitting.proportions gives it "
                f"{fraction:.0%} ({tuned_rows} of them may go to train only, as an encoder was tuned on them). "
                "Bring more products, or set splitting.proportions otherwise."
            )


def evaluated_split(split_table: pd.DataFrame) -> str:
    """The split that evaluations report: ``holdout``, or ``validation`` where there is no holdout."""
    return "holdout" if (split_table["split"] == "holdout").any() else "validation"
