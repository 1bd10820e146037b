"""Which code computed something."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

CODE = (
    "compute",
    "data",
    "evaluation",
    "metrics",
    "models",
    "parameters",
    "prediction",
    "report",
    "selection",
    "storage",
    "training",
)
"""Packages whose code decides what training computes."""


@cache
def code_digest() -> str:
    """Digest of the code that decides what training computes, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    root = Path(str(files("price_fusion")))
    for package in CODE:
        paths = sorted((root / package).rglob("*.py"))
        if not paths:
            raise FileNotFoundError(f"{root / package}: no code here, expected that of a package of CODE")
        for path in paths:
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
