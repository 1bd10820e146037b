"""A checkpoint for other runtimes."""

from __future__ import annotations

import logging
from typing import Any

from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd

logger = logging.getLogger(__name__)


def export(checkpoint: Any, samples: pd.DataFrame, *tables: EmbeddingTable) -> Any:
    """Export a checkpoint to ONNX and torch.export, checked on products of the sample table."""
    from price_fusion.prediction.export.export import TOLERANCE, export_checkpoint

    exported = export_checkpoint(checkpoint, samples, {table.source: table for table in tables})
    worst = max(exported.manifest["largest_relative_difference"].values())
    logger.info(
        "%s: exported prices differ from the checkpoint's by %.1g at most, relative (%g would be too much)",
        checkpoint.name,
        worst,
        TOLERANCE,
    )
    return exported
