"""Stage ``final_fit``."""

from price_fusion.pipelines.final_fit.pipeline import create_ensemble_pipeline, create_pipeline

__all__ = ["create_ensemble_pipeline", "create_pipeline"]
