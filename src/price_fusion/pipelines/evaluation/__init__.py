"""Stage ``evaluation``."""

from price_fusion.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
