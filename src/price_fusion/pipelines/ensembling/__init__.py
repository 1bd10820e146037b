"""Stage ``ensembling``."""

from price_fusion.pipelines.ensembling.pipeline import ENSEMBLE, create_alone, create_pipeline

__all__ = ["ENSEMBLE", "create_alone", "create_pipeline"]
