"""Stage ``leaks``."""

from price_fusion.pipelines.leaks.pipeline import create_effect_pipeline, create_pipeline

__all__ = ["create_effect_pipeline", "create_pipeline"]
