"""The ridge regressions that variants are held against: each on the same sources as its variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

RIDGE = "ridge"
"""The one of all sources."""


def ridges_of(variants: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Sources of the ridge that each variant is held against, by the ridge's name.

    ``RIDGE`` reads all sources of all variants. Variants that read fewer have another of their own sources; those of the
    same sources share one, which is named after the first of them.

    Args:
        variants: the sources of each variant, by its name.
    """
    found = {RIDGE: tuple(dict.fromkeys(source for sources in variants.values() for source in sources))}
    for name, sources in variants.items():
        if not any(set(sources) == set(known) for known in found.values()):
            found[f"ridge of {name}'s sources"] = tuple(sources)
    return found


def ridge_of(sources: Sequence[str], ridges: Mapping[str, Sequence[str]]) -> str:
    """Name of the ridge, among those of ``ridges_of``, that reads these sources."""
    return next(name for name, own in ridges.items() if set(own) == set(sources))
