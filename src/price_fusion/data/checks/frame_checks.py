"""The tables between stages: what later stages take for granted of the sample table and of the split table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.splits import NO_FOLD, SPLITS
from price_fusion.errors import SHOWN, AlignmentError, ComparisonError, DataError, few
from price_fusion.lazy import pd


def check_sample_table(samples: pd.DataFrame, origin: str | Path) -> None:
    """Refuse a sample table that cannot be one.

    Args:
        samples: ``sample_id`` (unique whole numbers or texts), ``place``, ``group_key`` and, where labelled, ``price`` (in
            currency units, positive and finite).
        origin: the file it is from.

    Raises:
        DataError: listing all that is wrong.
    """
    problems = [*_lacking(samples, ("sample_id", "place", "group_key")), *_id_problems(samples)]
    if "price" in samples:
        prices = pd.to_numeric(samples["price"], errors="coerce").to_numpy(np.float64)
        problems += _listed(
            samples, "price", ~(np.isfinite(prices) & (prices > 0)), "positive and finite, in currency units"
        )
    _refuse(problems, origin, "ingest")


def check_split_table(split_table: pd.DataFrame, origin: str | Path) -> None:
    """Refuse a split table that cannot be one.

    Args:
        split_table: ``sample_id`` (unique), ``split`` (``train``, ``validation``, ``holdout``), ``fold`` (from -1) and
            ``tuned_on`` (bool).
        origin: the file it is from.

    Raises:
        DataError: listing all that is wrong.
    """
    problems = [*_lacking(split_table, ("sample_id", "split", "fold", "tuned_on")), *_id_problems(split_table)]
    if "split" in split_table:
        known = split_table["split"].isin(SPLITS).to_numpy()
        problems += _listed(split_table, "split", ~known, f"one of {', '.join(SPLITS)}")
    if "fold" in split_table:
        folds = pd.to_numeric(split_table["fold"], errors="coerce").to_numpy(np.float64)
        problems += _listed(split_table, "fold", ~((folds >= NO_FOLD) & (folds % 1 == 0)), "a number from -1 (no fold)")
    if {"split", "fold"} <= set(split_table):
        in_fold = (split_table["split"] == SPLITS[-1]).to_numpy() & (folds > NO_FOLD)
        problems += _listed(split_table, "fold", in_fold, "-1, as holdout rows are in no fold")
    _refuse(problems, origin, "split")


def refuse_other_products(samples: pd.DataFrame, split_table: pd.DataFrame) -> None:
    """Refuse a split table that is not of the sample table's products, in their order.

    Raises:
        AlignmentError: with the number of products of both, and the first that differ.
    """
    ours, theirs = samples["sample_id"].to_numpy(), split_table["sample_id"].to_numpy()
    if np.array_equal(ours, theirs):
        return
    both = min(len(ours), len(theirs))
    row = next((row for row in range(both) if ours[row] != theirs[row]), both)
    first = " and ".join(str(ids[row]) if row < len(ids) else "none" for ids in (ours, theirs))
    raise AlignmentError(
        f"the sample table ({len(ours)} products) and the split table ({len(theirs)}) do not list the same products in the "
        f"same order: row {row} is product {first}. Run 'split' again."
    )


def refuse_other_rows(results: pd.DataFrame, reported: pd.DataFrame) -> None:
    """Refuse an evaluation of other products than those of the current figures, or in another order.

    Args:
        results: of the evaluation, one row per product.
        reported: the rows of the sample table that the split reports.

    Raises:
        ComparisonError: with the number of products of both.
    """
    if results["sample_id"].astype(str).tolist() != reported["sample_id"].astype(str).tolist():
        raise ComparisonError(
            f"evaluation_results are of {len(results):,} products, the split reports {len(reported):,}, and they are not the "
            "same in the same order: the split has changed since the evaluation. Evaluate the model again (kedro run --pipelines "
            "evaluate_<variant>), which says so if it must be trained on this split first."
        )


def _lacking(frame: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[str]:
    missing = [name for name in columns if name not in frame]
    if missing:
        yield f"lacks the column(s) {', '.join(missing)}; found {', '.join(map(str, frame.columns))}"


def _id_problems(frame: pd.DataFrame) -> Iterator[str]:
    if "sample_id" not in frame:
        return
    ids = frame["sample_id"]
    if not (pd.api.types.is_integer_dtype(ids) or pd.api.types.is_string_dtype(ids)):
        yield f"sample_id: found {ids.dtype}, expected whole numbers or texts"
    if ids.isna().any():
        yield f"sample_id: {int(ids.isna().sum()):,} missing, expected one in each row"
    repeated = ids[ids.duplicated() & ids.notna()]
    if len(repeated):
        yield f"sample_id: {len(repeated):,} repeat an earlier one ({few(repeated.tolist())}), expected each once"


def _listed(frame: pd.DataFrame, column: str, wrong: NDArray[np.bool_], expected: str) -> list[str]:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return []
    ids = frame["sample_id"] if "sample_id" in frame else frame.index.to_series()
    shown = [f"id {ids.iloc[row]}: {_written(frame[column].iloc[row])}" for row in rows[:SHOWN]]
    return [f"{column}: {len(rows):,} of {len(frame):,} rows ({few(shown, len(rows))}), expected {expected}"]


def _written(value: object) -> str:
    return repr(value[:40]) if isinstance(value, str) else str(value)


def _refuse(problems: list[str], origin: str | Path, pipeline: str) -> None:
    if problems:
        listed = "; ".join(f"({number}) {problem}" for number, problem in enumerate(problems, start=1))
        raise DataError(
            f"{origin}: cannot be used: {listed}. Run the pipeline '{pipeline}' again.",
            [f"{origin}: {problem}" for problem in problems],
        )
