"""The library: tables, models, losses, metrics and the training engine. It never imports Kedro."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from price_fusion.fusion.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """Import ``Predictor``, and with it torch, only when asked for."""
    if name == "Predictor":
        from price_fusion.fusion.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
