"""Stage ``ensembling``."""

from price_fusion.pipelines.ensembling.pipeline import ENSEMBLE, create_pipeline

__all__ = ["ENSEMBLE", "create_pipeline"]
