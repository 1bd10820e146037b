"""Stage ``gathering``, of runs with ``compute.partitions``."""

from price_fusion.pipelines.gathering.pipeline import create_pipeline, reading_gathered

__all__ = ["create_pipeline", "reading_gathered"]
