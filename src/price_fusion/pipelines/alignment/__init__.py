"""Stage ``alignment``."""

from price_fusion.pipelines.alignment.pipeline import create_pipeline, create_report_pipeline, of_model

__all__ = ["create_pipeline", "create_report_pipeline", "of_model"]
