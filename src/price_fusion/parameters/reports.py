"""What report pages and model cards show."""

from __future__ import annotations

from price_fusion.parameters.base import Parameters


class ReportParameters(Parameters):
    """``report.html`` of each model."""

    images: str | None = None
    """Folder with pictures of products, ``<sample_id>.jpg``, ``.jpeg``, ``.png`` or ``.webp``, that the page shows small beside
    the best and worst; a relative path is relative to the folder that the run starts in. None: links instead."""


class ModelCardParameters(Parameters):
    """What a model card says that only the model's owner knows; None is shown as "not stated"."""

    owner: str | None = None
    """Who is responsible for the model."""
    licence: str | None = None
    """Of the model and of the data behind it."""
    contact: str | None = None
    """Where to ask."""
    intended_use: str | None = None
    """What it is used for, in a sentence or two."""
    notes: str | None = None
    """What else a reader should know."""
