"""Stage ``ingestion``."""

from price_fusion.pipelines.ingestion.pipeline import create_partitioned, create_pipeline, reading_gathered

__all__ = ["create_partitioned", "create_pipeline", "reading_gathered"]
