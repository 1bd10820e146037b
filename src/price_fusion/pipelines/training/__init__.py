"""Stage ``training``."""

from price_fusion.pipelines.training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
