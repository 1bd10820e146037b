"""Stage ``splitting``."""

from price_fusion.pipelines.splitting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
