"""What is wrong with a file of ``conf/``, by file and line."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

_ADVICE = (
    (r"'\\t'", "a tab, where YAML wants blanks; replace the tab"),
    (r"duplicate key (?P<key>.+)", "the key {key!r} is there twice; put what it holds together under one"),
    (r"undefined alias '?(?P<key>\w*)", "no anchor &{key} in this file; anchors are known in their own file only"),
    (r"while scanning an alias", "a value that begins with * is a reference; quote it"),
    (r"cannot start any token|directive", "a value cannot begin so; quote it"),
    (r"mapping values are not allowed", "a second colon in one line; quote a value that contains ': '"),
    (r"determine a constructor for the tag", "a tag (!...) of YAML, and none are read; leave it out"),
)
"""Words of the YAML parser, and what to say instead."""


def problem_with(path: Path) -> str | None:
    """What keeps a file of YAML or JSON from being read as a mapping; None: nothing.

    Returns:
        file, line, what was found and what to do.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror or error}). Make it readable."
    try:
        text = contents.decode("utf-8")
    except UnicodeDecodeError as error:
        return _encoding(path, contents, error)
    conflict = re.search(r"^(<<<<<<<|>>>>>>>) ", text, flags=re.MULTILINE)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        return (
            f"{path}, line {line}: a merge conflict of git that is not resolved. Keep one side, and remove the marks."
        )
    return _syntax(path, text)


def mapping_of(path: Path) -> dict[str, Any]:
    """What a file without problems says, with its interpolations (``${...}``) as they stand."""
    found = OmegaConf.to_container(OmegaConf.load(io.StringIO(path.read_text(encoding="utf-8"))), resolve=False)
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _syntax(path: Path, text: str) -> str | None:
    try:
        loaded = OmegaConf.load(io.StringIO(text))
    except MarkedYAMLError as error:
        return f"{path}, {_marked(error, text)}."
    except ReaderError as error:
        return f"{path}, position {error.position}: the character {error.character!r}, which text has not. Remove it."
    except OmegaConfBaseException as error:
        message, _, key = str(error).partition("full_key: ")
        return f"{path}, {key.split()[0] if key else 'a value'}: {message.strip()}. Close each ${{...}}, or quote the value."
    except (OSError, YAMLError) as error:  # OmegaConf's answer to a number alone
        return f"{path}: {error}, expected a mapping, such as 'seed: 41'."
    if isinstance(loaded, DictConfig):
        return None
    return f"{path}: holds a list, expected a mapping of names to values, such as 'seed: 41'."


def _marked(error: MarkedYAMLError, text: str) -> str:
    """Line, what is wrong and what to do."""
    context = error.context or ""
    mark = error.problem_mark or error.context_mark
    if (
        error.context_mark
        and re.search(r"flow|quoted scalar", context)
        and re.search("end|expected", error.problem or "")
    ):
        mark = error.context_mark
        what = "quotation mark" if "quoted" in context else "bracket"
        return f"line {mark.line + 1}: a {what} is opened here and not closed: {_line(text, mark.line)}"
    line = mark.line if mark else 0
    said = f"{context} {error.problem}"
    for pattern, advice in _ADVICE:
        if match := re.search(pattern, said):
            return f"line {line + 1}: {advice.format(**match.groupdict())}: {_line(text, line)}"
    return f"line {line + 1}: not YAML ({error.problem}): {_line(text, line)}"


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return repr(lines[number].strip("\r")[:80]) if number < len(lines) else "the end of the file"


def _encoding(path: Path, contents: bytes, error: UnicodeDecodeError) -> str:
    if contents[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"{path}: is in UTF-16, expected UTF-8. Save it as UTF-8: iconv -f utf-16 -t utf-8"
    line = contents.count(b"\n", 0, error.start) + 1
    return (
        f"{path}, line {line}: the byte 0x{contents[error.start]:02x} is not UTF-8. Save the file as UTF-8; if it is in "
        "Latin-1: iconv -f latin1 -t utf-8"
    )
