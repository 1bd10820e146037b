"""Stage ``comparison``."""

from price_fusion.pipelines.comparison.pipeline import create_contender_pipeline, create_pipeline

__all__ = ["create_contender_pipeline", "create_pipeline"]
