"""What report pages show."""

from __future__ import annotations

from price_fusion.parameters.base import Parameters


class ReportParameters(Parameters):
    """``report.html`` of each model."""

    images: str | None = None
    """Folder with pictures of products, ``<sample_id>.jpg``, ``.jpeg``, ``.png`` or ``.webp``, that the page shows small beside
    the best and worst; a relative path is relative to the folder that the run starts in. None: links instead."""
