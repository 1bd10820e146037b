"""Names of parameters that an earlier release had, and those that take their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SECTIONS = {"engine": "compute"}
_FIELDS = {"buckets": "partitions", "kind": "executor"}
"""Those of the former section ``engine`` that have another name in ``compute``."""


def problems_of_former_names(raw: Mapping[str, Any]) -> list[str]:
    """What to write instead of each parameter with a former name, a line each.

    Args:
        raw: all parameters, by section.
    """
    problems = [
        f"{former}: has become {now}. Write {_successors(former, now, raw[former])}"
        for former, now in _SECTIONS.items()
        if former in raw
    ]
    compute = raw.get("compute")
    written = compute if isinstance(compute, Mapping) else {}
    return problems + [
        f"compute.{name}: has become compute.{_FIELDS[name]}. Write compute.{_FIELDS[name]}={written[name]!r}"
        for name in _FIELDS
        if name in written
    ]


def _successors(former: str, now: str, section: object) -> str:
    if not isinstance(section, Mapping) or not section:
        return f"the section {now!r}"
    return ", ".join(f"{now}.{_FIELDS.get(str(key), key)} for {former}.{key}" for key in section)
