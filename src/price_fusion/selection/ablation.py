"""What each source is worth to a variant: its values permuted between products, or the source left out of training.

Permutation asks what a trained model relies on: L. Breiman, "Random Forests", *Machine Learning* 45, 2001, section 10.
Leaving out asks what the other sources cannot make up for. Both give the rise of SMAPE in points, paired by product.

Shapes: ``N`` products, ``P`` parts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from price_fusion.data.roles import folds_of, rows_to_report
from price_fusion.data.splits import evaluated_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.bootstrap import bootstrap_means, difference
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.features import Features, features_from_tables
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import ColumnSourceParameters, Source, VariantParameters
from price_fusion.prediction.predictor import Predictor
from price_fusion.selection.cross_validation import LabelledData, cross_validate_variant, out_of_fold

logger = logging.getLogger(__name__)

Values = NDArray[np.float64]

NOT_ASKED_FOR = "ablation.retrain is false"
NOTHING_LEFT = "no source is left to train on"


@dataclass(frozen=True)
class Part:
    """What is permuted or left out: a source, one of its columns, or a group of sources."""

    name: str
    kind: Literal["source", "column", "group"]
    sources: tuple[str, ...]
    place: int | None = None
    """Of a column, among its source's structural ones."""


def permutation_importance(
    checkpoint: Checkpoint,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    *,
    permutations: int,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """How much worse a trained model is once a source, or one column of it, tells it of other products.

    A source is permuted between all reported products with its gaps: one that has it may get another's lack of it. A
    column is permuted between the products that its source knows, empty fields with it.

    Args:
        checkpoint: the model.
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        tables: of its sources.
        permutations: of each part; SMAPE of a product is its mean over them.
        resamples: of the bootstrap.
        seed: of the permutations and of the bootstrap.

    Returns:
        by falling importance: ``variant``, ``part``, ``kind`` (source, column), ``split``, ``rows``, ``permutations``,
        ``smape`` and ``smape_permuted`` in percent, and the rise in points of SMAPE with its 95 % interval:
        ``importance_points``, ``importance_points_low``, ``importance_points_high``, ``reversed`` (share of the resamples
        in which it is zero or has the other sign).
    """
    chosen = samples.iloc[rows_to_report(split_table, checkpoint)]
    predictor = Predictor(checkpoint)
    features, price = (
        features_from_tables(chosen, tables, predictor.model.sources, checkpoint),
        chosen["price"].to_numpy(np.float64),
    )
    parts = permutable_parts(predictor.model.sources)
    logger.info(
        "%s: permuting %d sources and columns %d times each on %s rows",
        predictor.model.name,
        len(parts),
        permutations,
        f"{len(chosen):,}",
    )
    whole = smape_per_product(predictor.price_features(features), price)
    without = np.column_stack(
        [_permuted_smape(predictor, features, price, part, permutations=permutations, seed=seed) for part in parts]
    )
    table = pd.DataFrame(
        {
            "variant": predictor.model.name,
            "part": [part.name for part in parts],
            "kind": [part.kind for part in parts],
            "split": evaluated_split(split_table),
            "rows": len(chosen),
            "permutations": permutations,
            "smape": whole.mean(),
            "smape_permuted": without.mean(axis=0),
        }
    )
    rises = _rises(without, whole, chosen["group_key"], resamples=resamples, seed=seed)
    return _ordered(pd.concat([table, rises], axis=1))


def permutable_parts(sources: Mapping[str, Source]) -> list[Part]:
    """Each source, and each structural, numeric or categorical column by itself."""
    parts = []
    for name, source in sources.items():
        parts.append(Part(name, "source", (name,)))
        for place, column in enumerate(column_names(source)):
            parts.append(Part(f"{name}: {column}", "column", (name,), place))
    return parts


def column_names(source: Source) -> tuple[str, ...]:
    """Of the structural columns; those of embeddings have no names, and are counted from 1."""
    if isinstance(source, ColumnSourceParameters):
        return (*source.numeric, *source.categorical)
    return tuple(f"structural {number}" for number in range(1, source.structural_columns + 1))


def _permuted_smape(
    predictor: Predictor, features: Features, price: Values, part: Part, *, permutations: int, seed: int
) -> Values:
    """SMAPE of each product, (N,), the mean over permutations; all parts are permuted in the same orders."""
    changed = (permuted(features, part, np.random.default_rng([seed, number])) for number in range(permutations))
    smape = [smape_per_product(predictor.price_features(one), price) for one in changed]
    return np.asarray(np.mean(smape, axis=0))


def permuted(features: Features, part: Part, generator: np.random.Generator) -> Features:
    """Features in which a part belongs to other products; nothing is copied but rows or structural columns.

    Args:
        features: of N products; not changed.
        part: a source or a column.
        generator: of the order.
    """
    (name,) = part.sources
    source = features.sources[name]
    if part.place is None:
        order = torch.from_numpy(generator.permutation(len(features)))
        changed = replace(source, rows=source.rows[order])
    else:
        known, structural = source.rows[source.rows >= 0], source.structural.clone()
        order = torch.from_numpy(generator.permutation(len(known)))
        structural[known, part.place] = source.structural[known[order], part.place]
        changed = replace(source, structural=structural)
    return Features({**features.sources, name: changed})


def retraining_importance(
    variant: VariantParameters,
    labelled: LabelledData,
    folder: FoldFolder,
    *,
    seeds: int,
    retrain: bool,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """How much worse a variant is out of fold when it is trained without a source or a group of them.

    The whole variant and each reduced one are cross-validated on the same folds and seeds, each in a folder of its own;
    models that are on disk already are not trained again. Holdout rows take no part.

    Args:
        variant: composition and training of the whole.
        labelled: products and the variant's sources.
        folder: takes a folder of models for each; its name is the variant's.
        seeds: models per fold, whose log prices are averaged.
        retrain: False: train nothing, and skip every part.
        resamples: of the bootstrap.
        seed: of the first model and of the bootstrap.

    Returns:
        by falling importance, skipped parts last: ``variant``, ``part``, ``kind`` (source, group), ``sources`` left out,
        ``skipped`` (why; missing where it was trained), ``rows``, ``folds``, ``seeds``, ``smape`` and ``smape_without`` in
        percent, and the rise as ``permutation_importance`` gives it.

    Raises:
        DataError: as ``cross_validate_variant``.
        TrainingError: as ``cross_validate_variant``.
    """
    groups = {name: table.declaration.group for name, table in labelled.tables.items()}
    parts = removable_parts(variant.sources, groups)
    reduced = [removal(variant, part) if retrain else NOT_ASKED_FOR for part in parts]
    table = pd.DataFrame(
        {
            "variant": folder.name,
            "part": [part.name for part in parts],
            "kind": [part.kind for part in parts],
            "sources": [", ".join(part.sources) for part in parts],
            "skipped": [one if isinstance(one, str) else None for one in reduced],
        }
    )
    tried = {place: one for place, one in enumerate(reduced) if isinstance(one, VariantParameters)}
    trained = _retrained(variant, parts, tried, labelled, folder, seeds=seeds, resamples=resamples, seed=seed)
    return _ordered(pd.concat([table, trained.reindex(table.index)], axis=1))


def removable_parts(sources: Sequence[str], groups: Mapping[str, str]) -> list[Part]:
    """Each source, and each group that has several of them.

    Args:
        sources: of a variant.
        groups: the group of each.
    """
    members: dict[str, list[str]] = {}
    for name in sources:
        members.setdefault(groups[name], []).append(name)
    return [
        *(Part(name, "source", (name,)) for name in sources),
        *(Part(f"group {group}", "group", tuple(names)) for group, names in members.items() if len(names) > 1),
    ]


def removal(variant: VariantParameters, part: Part) -> VariantParameters | str:
    """The variant without a part, or why there is none: its parameters refuse to be without it."""
    left = tuple(name for name in variant.sources if name not in part.sources)
    if not left:
        return NOTHING_LEFT
    try:
        return VariantParameters(sources=left, model=variant.model, train=variant.train)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")


def _retrained(
    variant: VariantParameters,
    parts: Sequence[Part],
    tried: Mapping[int, VariantParameters],
    labelled: LabelledData,
    folder: FoldFolder,
    *,
    seeds: int,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Measures of the variants without some of the parts, by the places of these; no rows if none is tried."""
    columns = ["rows", "folds", "seeds", "smape", "smape_without", *_RISE]
    if not tried:
        return pd.DataFrame(columns=columns, dtype=np.float64)
    folds = len(folds_of(labelled.split_table))
    logger.info(
        "%s: whole and without each of %d parts: %d models of %d folds and %d seed(s)",
        folder.name,
        len(tried),
        (1 + len(tried)) * folds * seeds,
        folds,
        seeds,
    )

    def smape(parameters: VariantParameters, name: str, path: str) -> tuple[pd.Series[int], Values]:
        """Ids of the rows of all folds, (N,), and their SMAPE, (N,)."""
        own = replace(labelled, tables={source: labelled.tables[source] for source in parameters.sources})
        models = cross_validate_variant(parameters, own, FoldFolder(name, folder.path / path), seeds=seeds, seed=seed)
        found = out_of_fold(models, own)
        return found["sample_id"], smape_per_product(found["predicted"].to_numpy(), found["price"].to_numpy())

    ids, whole = smape(variant, folder.name, "whole")
    without = np.column_stack(
        [
            smape(left, f"{folder.name} without {parts[place].name}", _folder(parts[place]))[1]
            for place, left in tried.items()
        ]
    )
    groups = labelled.samples.set_index("sample_id").loc[ids, "group_key"]
    rises = _rises(without, whole, groups, resamples=resamples, seed=seed)
    table = rises.assign(
        rows=len(whole), folds=folds, seeds=seeds, smape=whole.mean(), smape_without=without.mean(axis=0)
    )
    return table[columns].set_axis(list(tried))


def _folder(part: Part) -> str:
    """Where models without a part go. A group may be called as no file can be, so it goes by its first source."""
    return f"without_{part.kind}/{part.sources[0]}"


_RISE = ("importance_points", "importance_points_low", "importance_points_high", "reversed")


def _rises(without: Values, whole: Values, groups: ArrayLike, *, resamples: int, seed: int) -> pd.DataFrame:
    """``paired_difference`` of each part, all of the same resamples.

    Args:
        without: (N, P) SMAPE without each part.
        whole: (N,) SMAPE with all.
        groups: (N,) labels of what is resampled together.
        resamples: how many.
        seed: of the draws.
    """
    means = bootstrap_means(np.column_stack([whole, without]), groups, resamples=resamples, seed=seed)
    found = [
        difference(float(part.mean() - whole.mean()), means[:, place] - means[:, 0])
        for place, part in enumerate(without.T, start=1)
    ]
    return pd.DataFrame(found).set_axis(list(_RISE), axis=1)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    counts = {name: "Int64" for name in ("rows", "folds", "seeds") if name in table}
    ordered = table.sort_values("importance_points", ascending=False, kind="stable", ignore_index=True)
    return ordered.astype(counts)
