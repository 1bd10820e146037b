"""The stages from raw files to prices with ``compute.partitions``: for data that does not fit in memory."""

from price_fusion.pipelines.partitions.pipeline import (
    create_final_fit,
    create_inference,
    create_ingestion,
    create_training,
)

__all__ = ["create_final_fit", "create_inference", "create_ingestion", "create_training"]
