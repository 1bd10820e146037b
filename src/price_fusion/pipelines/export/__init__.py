"""Stage ``export``."""

from price_fusion.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
