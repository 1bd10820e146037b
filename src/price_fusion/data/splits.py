"""Train, validation and holdout: stratified on price, groups kept together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.groups.dealing import Groups, Numbers, deal, groups_of
from price_fusion.data.ids import Ids, are_among, described_lookalikes, ids_of, lacking, lookalikes
from price_fusion.data.money import rounded
from price_fusion.errors import AlignmentError, DataError
from price_fusion.lazy import pd

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "holdout")
NO_FOLD = -1
"""Fold of rows that never are a fold's validation rows: holdout, and rows that an encoder was tuned on."""


class GroupSplit(NamedTuple):
    """Where groups belong."""

    split: Numbers
    """(G,) place in ``SPLITS``."""
    fold: Numbers
    """(G,) from 0, or ``NO_FOLD``."""


def split_groups(
    groups: Groups,
    bound: NDArray[np.bool_],
    *,
    fractions: Sequence[float],
    price_quantiles: int,
    folds: int,
    seed: int,
) -> GroupSplit:
    """Assign groups to splits and to cross-validation folds, stratified on price. This is the one rule for it.

    Args:
        groups: G of them.
        bound: (G,) groups that must go to train and are in no fold's validation rows.
        fractions: shares of train, validation and holdout, summing to 1.
        price_quantiles: number of strata.
        folds: number of folds over train and validation together.
        seed: of the draw.
    """
    split = np.zeros(len(groups), dtype=np.int64)
    split[~bound] = deal(groups.where(~bound), fractions, quantiles=price_quantiles, draw=f"split, seed {seed}")
    fold = np.full(len(groups), NO_FOLD)
    foldable = ~bound & (split != SPLITS.index("holdout"))
    equal = [1 / folds] * folds
    fold[foldable] = deal(groups.where(foldable), equal, quantiles=price_quantiles, draw=f"folds, seed {seed}")
    return GroupSplit(split, fold)


def split_samples(
    samples: pd.DataFrame,
    *,
    fractions: Sequence[float],
    price_quantiles: int,
    folds: int,
    tuned_on: Mapping[str, Ids],
    seed: int,
) -> pd.DataFrame:
    """Assign each product to a split and to a cross-validation fold, as ``split_groups`` says.

    Groups with a product that some encoder was tuned on go to train.

    Args:
        samples: the sample table, labelled.
        fractions: shares of train, validation and holdout, summing to 1.
        price_quantiles: number of strata.
        folds: number of folds over train and validation together.
        tuned_on: per source, the ids that its encoder was tuned on.
        seed: of the draw.

    Returns:
        ``sample_id``, ``split``, ``fold`` (-1: in no fold's validation rows), ``tuned_on`` (bool), in the order of
        ``samples``.

    Raises:
        DataError: if a split that should have rows gets none.
        AlignmentError: if more of the ids that an encoder was tuned on look like those of products than are such.
    """
    ids = ids_of(samples["sample_id"])
    tuned = np.zeros(len(samples), dtype=bool)
    for source, named in tuned_on.items():
        tuned |= _tuned(ids, named, source)
    groups, group_of = groups_of(ids, samples["group_key"].to_numpy(), samples["price"].to_numpy(np.float64))
    bound = np.zeros(len(groups), dtype=bool)
    bound[group_of[tuned]] = True
    dealt = split_groups(groups, bound, fractions=fractions, price_quantiles=price_quantiles, folds=folds, seed=seed)
    table = pd.DataFrame(
        {
            "sample_id": samples["sample_id"].to_numpy(),
            "split": np.array(SPLITS)[dealt.split[group_of]],
            "fold": dealt.fold[group_of],
            "tuned_on": tuned,
        }
    )
    rows = {name: int((table["split"] == name).sum()) for name in SPLITS}
    refuse_empty_splits(rows, fractions, int(tuned.sum()))
    return table


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


def _tuned(known: Ids, ids: Ids, source: str) -> NDArray[np.bool_]:
    """(N,) whether a source's encoder was tuned on each product."""
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


def refuse_empty_splits(
    rows: Mapping[str, int], fractions: Sequence[float], tuned_rows: int, origin: str | None = None
) -> None:
    """Refuse a split that should have products and got none.

    Args:
        rows: products in each split.
        fractions: of the splits.
        tuned_rows: products that encoders were tuned on.
        origin: the file of the products, where there may be several.

    Raises:
        DataError: naming the first such split.
    """
    for name, fraction in zip(SPLITS, fractions, strict=True):
        if fraction > 0 and not rows.get(name):
            raise DataError(
                f"split {name!r} gets none of the {sum(rows.values())} products{f' of {origin}' if origin else ''}, though "
                f"splitting.proportions gives it {fraction:.0%} ({tuned_rows} of them may go to train only, as an encoder was "
                "tuned on them). Bring more products, or set splitting.proportions otherwise."
            )


def evaluated_split(split_table: pd.DataFrame) -> str:
    """The split that evaluations report: ``holdout``, or ``validation`` where there is no holdout."""
    return "holdout" if (split_table["split"] == "holdout").any() else "validation"
