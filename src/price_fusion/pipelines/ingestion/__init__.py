"""Stage ``ingestion``."""

from price_fusion.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
