"""JSON objects that carry a digest of themselves: a flipped bit in a manifest is noticed, as one in the files it names.

The seal is of the parsed contents, in their order: white space may change, nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "contents_sha256"


def sealed(contents: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON text of an object with its seal as the last field.

    Args:
        contents: what JSON can hold.
        indent: spaces a level; None: all in one line.
    """
    return json.dumps({**contents, SEAL: _digest(contents)}, indent=indent)


def json_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object; its seal is not checked yet, as an object of another version may have none.

    Raises:
        ValueError: if it is no JSON, or no object.
    """
    try:
        contents = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(contents, dict):
        raise ValueError(f"a {type(contents).__name__}, expected an object")
    return contents


def unsealed(contents: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its seal, once the seal is known to fit.

    Raises:
        ValueError: if there is no seal, or one of other contents.
    """
    bare = {name: value for name, value in contents.items() if name != SEAL}
    found, expected = _digest(bare), contents.get(SEAL)
    if found != expected:
        raise ValueError(f"sha256 of its contents is {found[:12]}, expected {str(expected)[:12]} as its {SEAL} says")
    return bare


def _digest(contents: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(contents, separators=(",", ":")).encode()).hexdigest()
