"""The process that reads one pickle, and can be lost: limits first, then the file, then plain arrays beside it.

Run by ``process``. It imports neither torch nor pandas, and nothing of the file's choice.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from price_fusion.data.readers.formats.named_arrays import rows_in
from price_fusion.data.readers.pickles.torch_archives import load_torch
from price_fusion.data.readers.pickles.unpickler import safe_load
from price_fusion.data.readers.raw import checked_arrays, checked_matrix
from price_fusion.data.readers.rows import Asked
from price_fusion.errors import DataError

OUTCOME, IDS, VECTORS, NULLS = "outcome.json", "ids.npy", "vectors.npy", "nulls.npy"
NOT_WRITTEN = 74
"""Exit status if the folder has no room for them, or may not be written."""

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 32
_STACK_BYTES = 2**23
_LONGEST_MESSAGE, _MOST_PROBLEMS = 4000, 10


@dataclass(frozen=True)
class Request:
    """What to read, and at what cost at most.

    Attributes:
        path: the pickle or file of torch.save, absolute.
        origin: the file's name, for messages.
        kind: ``pickle`` or ``torch``.
        folder: where ids, vectors and the outcome go.
        embeddings: key or column of the vectors, where it is not a usual one.
        ids: key or column of the ids, likewise; or ``products``.
        memory: bytes of address space.
        seconds: of processor time.
        parent: process id; when it ends, so does this process.
    """

    path: str
    origin: str
    kind: str
    folder: str
    embeddings: str | None
    ids: str | None
    memory: int
    seconds: int
    parent: int


def main(argument: str) -> None:
    """Serve one request, given as JSON, and end this process."""
    request = Request(**json.loads(argument))
    _die_with(request.parent)
    set_limits(request.memory, request.seconds)
    serve(request)
    sys.stdout.flush()
    # Without taking down what was read: that of a hostile pickle may be nested deeper than the stack is.
    os._exit(0)


def set_limits(memory: int, seconds: int) -> None:
    """Bound this process for good: address space and files in bytes, processor time in seconds."""
    limits = [
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_STACK, _STACK_BYTES, _STACK_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, memory, memory),
        (resource.RLIMIT_CPU, seconds, seconds + 5),
        (resource.RLIMIT_AS, memory, memory),
    ]
    for kind, soft, hard in limits:
        # Not every system knows every limit (macOS has none of address space), and nobody may raise one.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def serve(request: Request) -> None:
    """Read the pickle and leave ``ids.npy``, ``vectors.npy`` and ``outcome.json``, or only an outcome that says why not.

    Without room for them this process ends with the status ``NOT_WRITTEN``.
    """
    try:
        outcome = _arrays(request)
    except DataError as error:
        problems = [problem[:_LONGEST_MESSAGE] for problem in error.problems[:_MOST_PROBLEMS]]
        outcome = {"error": type(error).__name__, "message": str(error)[:_LONGEST_MESSAGE], "problems": problems}
    except MemoryError:
        outcome = {"limit": "memory"}
    except OSError as error:
        outcome = {"unreadable": f"{type(error).__name__}: {error.strerror or error}"}
    with _writing():
        (Path(request.folder) / OUTCOME).write_text(json.dumps(outcome), encoding="utf-8")


def _arrays(request: Request) -> dict[str, Any]:
    with Path(request.path).open("rb") as file:
        content = (load_torch if request.kind == "torch" else safe_load)(file, request.origin)
    asked = Asked(embeddings=request.embeddings, ids=request.ids)
    found = rows_in(content, asked, request.origin)
    folder = Path(request.folder)
    if found.ids is None:
        matrix = checked_matrix(found.vectors, request.origin)
    else:
        ids, matrix = checked_arrays(found.ids, found.vectors, request.origin)
        with _writing():
            np.save(folder / IDS, ids, allow_pickle=False)
    with _writing():
        np.save(folder / NULLS, found.nulls, allow_pickle=False)
        # Rows are what is read later, so they lie together, however the file had them.
        np.save(folder / VECTORS, np.ascontiguousarray(matrix), allow_pickle=False)
    return {"rows": len(matrix), "ids": found.ids is not None}


@contextmanager
def _writing() -> Iterator[None]:
    """End this process where its folder takes no more: an outcome could not be left there either."""
    try:
        yield
    except OSError:
        os._exit(NOT_WRITTEN)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It ended before it was watched.
        os._exit(1)
