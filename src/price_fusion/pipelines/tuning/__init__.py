"""Stage ``tuning``."""

from price_fusion.pipelines.tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
