"""Digests of what decides the contents of a table in partitions: a rerun of the same goes on, another begins anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def recipe(kind: str, described: Mapping[str, Any]) -> str:
    """Digest of a description that JSON can hold.

    Args:
        kind: of table, with the number of the version of the code that makes it: raise it when that makes something else.
        described: what it is made from.
    """
    return hashlib.sha256(json.dumps({"kind": kind, **described}, sort_keys=True).encode()).hexdigest()
