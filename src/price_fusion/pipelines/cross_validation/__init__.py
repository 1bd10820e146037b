"""Stage ``cross_validation``."""

from price_fusion.pipelines.cross_validation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
