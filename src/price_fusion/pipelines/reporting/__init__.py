"""Stage ``reporting``."""

from price_fusion.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
