"""Members trained on folds, weighed by what they say of rows that they did not see, and measured on the holdout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from price_fusion.data.roles import rows_to_report
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import PriceFusionError, StorageError
from price_fusion.lazy import pd
from price_fusion.models.folds import FOLDS, NETWORK, FoldFolder, FoldModels
from price_fusion.parameters import ComparisonParameters, EnsembleParameters, VariantParameters

if TYPE_CHECKING:
    from price_fusion.selection.cross_validation import LabelledData

logger = logging.getLogger(__name__)


def cross_validate_variant(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    ensemble: EnsembleParameters,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> FoldModels:
    """Train a variant for each fold and seed, and on all rows, in ``folds`` of the folder of its models.

    Holdout rows take no part.
    """
    from price_fusion.selection import cross_validation

    labelled, chosen = _labelled(samples, split_table, tables), ensemble.chosen
    return _tolerant(
        ensemble,
        folder,
        lambda folds: cross_validation.cross_validate_variant(
            variant, labelled, folds, seeds=chosen.seeds, seed=seed, refits=chosen.refits
        ),
    )


def cross_validate_estimator(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    ensemble: EnsembleParameters,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> FoldModels:
    """Fit an estimator for each fold, and on all rows, in ``folds`` of the folder of its models.

    Holdout rows take no part.
    """
    from price_fusion.selection import cross_validation

    labelled, refit = _labelled(samples, split_table, tables), ensemble.chosen.refits > 0
    return _tolerant(
        ensemble,
        folder,
        lambda folds: cross_validation.cross_validate_estimator(
            folds.name, labelled, folds, options=comparison, seed=seed, refit=refit
        ),
    )


def blend_members(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    ensemble: EnsembleParameters,
    currency: str,
    *members_and_tables: FoldModels | pd.DataFrame | EmbeddingTable,
    name: str = "ensemble",
) -> Any:
    """Weigh the members.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        ensemble: how to find weights.
        currency: of the prices.
        members_and_tables: the models of each member, then the out-of-fold predictions of each, in the same order, then the
            table of each source.
        name: what the ensemble is called.
    """
    from price_fusion.prediction.ensemble import OutOfFold, build_ensemble
    from price_fusion.training.recipe import data_fingerprints

    models = [one for one in members_and_tables if isinstance(one, FoldModels)]
    predictions = [one for one in members_and_tables if isinstance(one, pd.DataFrame)]
    tables = {one.source: one for one in members_and_tables if isinstance(one, EmbeddingTable)}
    return build_ensemble(
        [OutOfFold(*pair) for pair in zip(models, predictions, strict=True)],
        method=ensemble.weights,
        sources={name: table.declaration for name, table in tables.items()},
        dtypes={name: table.dtype for name, table in tables.items()},
        data=data_fingerprints(samples, split_table, tables),
        currency=currency,
        name=name,
        rows=_rows_of_a_model(split_table, ensemble),
    )


def list_members(
    ensemble: Any, samples: pd.DataFrame, split_table: pd.DataFrame, *tables: EmbeddingTable
) -> pd.DataFrame:
    """Each member's weight and figures beside those of the blend, of an ``Ensemble``.

    Returns:
        ``member``, ``kind``, ``weight``, ``models``, ``seconds`` of training, ``out_of_fold_smape`` and ``smape`` in percent
        (on the holdout; missing for members that were left out, and where there is no holdout).
    """
    from price_fusion.prediction.ensemble import members_table

    rows_to_report(split_table, ensemble)  # refuses an ensemble of another split
    holdout = (split_table["split"] == "holdout").to_numpy()
    return members_table(ensemble, samples[holdout], {table.source: table for table in tables})


def _labelled(samples: pd.DataFrame, split_table: pd.DataFrame, tables: Sequence[EmbeddingTable]) -> LabelledData:
    """What members are trained on, where it suffices for intervals of their blend."""
    from price_fusion.prediction.ensemble import refuse_few_rows
    from price_fusion.selection.cross_validation import LabelledData

    refuse_few_rows(split_table)
    return LabelledData(samples, split_table, {table.source: table for table in tables})


def _rows_of_a_model(split_table: pd.DataFrame, ensemble: EnsembleParameters) -> int:
    """Rows that a model which predicts is fitted on: all but the holdout, or, without refits, all folds but one."""
    rows = int((split_table["split"] != "holdout").sum())
    if ensemble.chosen.refits:
        return rows
    folds = split_table["fold"][split_table["fold"] >= 0]
    return rows - len(folds) // folds.nunique()


def _tolerant(ensemble: EnsembleParameters, folder: Path, train: Callable[[FoldFolder], FoldModels]) -> FoldModels:
    """What training in ``folds`` of a folder gives, or, where that is allowed, a note that it failed."""
    folds = FoldFolder(folder.name, folder / FOLDS)
    try:
        return train(folds)
    except StorageError:  # of the disk, not of the member
        raise
    except PriceFusionError as error:
        if ensemble.failed_members == "error":
            logger.error(
                "member %r of the ensemble failed; ensemble.failed_members: leave_out goes on without it", folder.name
            )
            raise
        logger.warning("member %r of the ensemble failed and is left out: %s", folder.name, error)
        return FoldModels(folder.name, NETWORK, (), folds.path, failure=str(error))
