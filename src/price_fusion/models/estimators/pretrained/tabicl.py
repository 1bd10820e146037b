"""TabICL, a network that was trained on synthetic tables and takes the fit rows as context: nothing is trained here.

Qu et al. 2026, "TabICLv2: A better, faster, scalable, and open tabular foundation model" (arXiv:2602.11139). The package
``tabicl`` is an extra of this one; the checkpoint is the user's (``tabicl_checkpoint.py``).
"""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from price_fusion.errors import TrainingError
from price_fusion.lazy import optional_package
from price_fusion.models.device import choose_device
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.design import blocks, drawn
from price_fusion.models.estimators.estimator import Estimator, FitData, Settings, Values
from price_fusion.models.estimators.folder import Description, read_arrays, write_arrays
from price_fusion.models.estimators.pretrained.reduction import Reduction
from price_fusion.models.estimators.pretrained.tabicl_checkpoint import TabICLCheckpoint, first_line
from price_fusion.parameters import ComparisonParameters

logger = logging.getLogger(__name__)

MEMBERS = 8
"""Views of the table (columns in another order, another normalisation) whose predictions are averaged."""
CELL_COPIES = 16
"""Embeddings of a cell that are in memory at once while a view is embedded (docs/decisions/0011-members.md)."""
QUERY_ROWS = 1_024
"""Products predicted at a time."""


class TabICL(Estimator):
    """The median of the log price by TabICL, with fit rows as context.

    Wide parts of the design are reduced to principal components (``Reduction``), as the network takes some hundreds of columns.

    Args:
        description: of it.
        reduction: of rows of the design to C columns.
        context: (F, C) fit rows: all, or as many as fit in memory.
        log_prices: (F,) of these.
    """

    kind: ClassVar[str] = "tabicl"
    file: ClassVar[str] = "tabicl.safetensors"

    def __init__(self, description: Description, reduction: Reduction, context: Matrix, log_prices: Values) -> None:
        super().__init__(description)
        self.reduction = reduction
        self.context = context
        self.log_prices_of_context = log_prices

    @classmethod
    def choose(cls, data: FitData, options: ComparisonParameters, seed: int) -> Settings:
        """The settings that are given; the stop rows choose nothing. The seed draws views, and the rows of the context."""
        checkpoint = TabICLCheckpoint.at(options.tabicl_checkpoint)
        optional_package("tabicl")
        return {**checkpoint.settings, "columns": options.tabicl_columns, "members": MEMBERS, "seed": seed}

    @classmethod
    def fitted(cls, data: FitData, options: ComparisonParameters, settings: Settings) -> Self:
        """Reduce the fit rows, and keep as many as fit in memory."""
        checkpoint = TabICLCheckpoint.of(settings)
        checkpoint.check()
        seed, columns = int(settings["seed"]), int(settings["columns"])  # type: ignore[arg-type]
        reduction = Reduction.fit(data.design, data.fit, columns)
        width = reduction.reduced(data.fit[:1]).shape[1]
        most = most_rows(options.tabicl_memory_gb, width, checkpoint.cell_width())
        rows = drawn(data.fit_rows, most, seed)
        if len(rows) < data.fit_rows:
            logger.info(
                "tabicl: %s of %s fit rows are its context, drawn at random: as many as fit in comparison.tabicl_memory_gb",
                f"{len(rows):,}",
                f"{data.fit_rows:,}",
            )
        context = np.concatenate([reduction.reduced(data.fit[rows[block]]) for block in blocks(len(rows))])
        return cls(data.described(**settings), reduction, context, data.fit_log_prices[rows])

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the context.

        Raises:
            CheckpointError: if the checkpoint that it was fitted with is not where it was.
        """
        optional_package("tabicl")
        TabICLCheckpoint.of(description.settings).check()
        arrays = read_arrays(path)
        reduction = Reduction.read(description.design, arrays)
        return cls(description, reduction, arrays["context"], arrays["log_prices"])

    def write(self, path: Path) -> None:
        """Write the context."""
        write_arrays(path, self.reduction.arrays | {"context": self.context, "log_prices": self.log_prices_of_context})

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        prices = np.empty(len(matrix))
        for rows in blocks(len(matrix), QUERY_ROWS):
            prices[rows] = self._regressor.predict(self.reduction.reduced(matrix[rows]), output_type="median")
        return prices

    @cached_property
    def _regressor(self) -> Any:
        """The package's own, with the context embedded once.

        Raises:
            CheckpointError: if the checkpoint is not that of the fit.
            TrainingError: if the package refuses the checkpoint or the rows.
        """
        checkpoint = TabICLCheckpoint.of(self.description.settings)
        checkpoint.check()
        regressor = optional_package("tabicl").TabICLRegressor(
            n_estimators=self.description.settings["members"],
            batch_size=1,
            kv_cache="repr",
            model_path=checkpoint.path,
            allow_auto_download=False,
            device=choose_device("auto"),
            use_amp=False,
            use_fa3=False,
            random_state=self.description.settings["seed"],
        )
        try:
            return regressor.fit(self.context, self.log_prices_of_context)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            rows, columns = self.context.shape
            raise TrainingError(
                f"tabicl cannot take {rows:,} products with {columns} columns as context with {checkpoint.path}: "
                f"{first_line(error)}. Take a checkpoint of the installed version, less memory "
                "(comparison.tabicl_memory_gb), or leave comparison.tabicl_checkpoint empty to go on without it."
            ) from error


def most_rows(memory_gb: float, columns: int, cell_width: int) -> int:
    """How many fit rows the context may have, at least as many as are predicted at a time.

    Args:
        memory_gb: for their embeddings, in 1e9 bytes.
        columns: C.
        cell_width: of the embedding of one cell, float32.
    """
    row_bytes = CELL_COPIES * max(columns, 1) * cell_width * 4
    return max(int(memory_gb * 1e9) // row_bytes, QUERY_ROWS)
