"""From an evaluated model to the one that predicts new products: the same training, on all labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import ESTIMATOR_KINDS, ComparisonParameters, VariantParameters
from price_fusion.training.run_folder import RUN, RunFolder


def fit_final(
    evaluated: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    folder: Path,
    *tables: EmbeddingTable,
) -> Any:
    """Repeat the training of a checkpoint on all labelled rows; all that decides it is taken from the checkpoint.

    ``folder`` is that of the variant's models, called as it is; ``final/run`` in it takes the state.
    """
    from price_fusion.selection.final_fit import final_checkpoint

    return final_checkpoint(evaluated, labelled_data(samples, split_table, tables), variant.train, final_run(folder))


def fit_final_ensemble(
    ensemble: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    *members_and_tables: Any,  # Kedro warns of parameters among unions
) -> Any:
    """Repeat the training of an ensemble's models on all labelled rows; its weights and intervals stay.

    Args:
        ensemble: that was evaluated.
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        comparison: what fitting estimators may spend.
        members_and_tables: the folder of each member's models, called as it is, then the parameters of those that are variants, in the same order, then
            the table of each source.
    """
    from price_fusion.selection.final_fit import fit_ensemble

    paths = [one for one in members_and_tables if isinstance(one, Path)]
    folders = {path.name: FoldFolder(path.name, path / "final/members") for path in paths}
    variants = [name for name in folders if name not in ESTIMATOR_KINDS]
    trained = [one.train for one in members_and_tables if isinstance(one, VariantParameters)]
    tables = tuple(one for one in members_and_tables if isinstance(one, EmbeddingTable))
    return fit_ensemble(
        ensemble,
        labelled_data(samples, split_table, tables),
        folders,
        where=dict(zip(variants, trained, strict=True)),
        options=comparison,
    )


def final_run(folder: Path) -> RunFolder:
    """What the final fit of a variant writes while it runs, in the folder of the variant's models."""
    return RunFolder(folder / "final" / RUN)


def labelled_data(samples: pd.DataFrame, split_table: pd.DataFrame, tables: tuple[EmbeddingTable, ...]) -> Any:
    """What may be fitted: labelled products and the tables of their sources."""
    from price_fusion.selection.cross_validation import LabelledData

    return LabelledData(samples, split_table, {table.source: table for table in tables})
