"""Stage ``comparison``."""

from price_fusion.pipelines.comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
