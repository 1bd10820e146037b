"""The library's former place: whoever imports from it is told the new one."""

raise ImportError(
    "price_fusion.fusion is no more. Predictor is imported from price_fusion itself: from price_fusion import Predictor. Where "
    "everything else is now: the table of packages in docs/architecture.md and docs/reference/library.md."
)
