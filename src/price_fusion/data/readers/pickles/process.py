"""Embeddings from pickles that others made: a process of its own reads them, and only plain arrays come back.

An allow-list of names (``unpickler``) keeps a pickle from running code. It keeps neither Python's unpickling machine nor
numpy from crashing, or from taking all memory, on bytes that were damaged or made to that end. Here that happens to a
child process with limits, and becomes an error that names the file. What the child leaves is checked as if the file's
author had written it.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.pickles import child
from price_fusion.data.readers.pickles.child import Request
from price_fusion.data.readers.rows import Asked, FoundRows
from price_fusion.errors import AlignmentError, DataError, ParameterError, StorageError, UnsafePickleError
from price_fusion.storage.files import is_alive

_GIB = 2**30
_LEAST_GIB = 0.5
"""Python and numpy take a quarter of it."""
_CLOCK_FACTOR, _CLOCK_EXTRA = 4, 30
"""A disk may be slow, and the processor busy with others."""
_FOLDER = "price_fusion_pickle"
_OUTCOME_BYTES = 2**20
_STDERR_BYTES = 2000
_CHILD_ERRORS: dict[str, type[DataError]] = {
    kind.__name__: kind for kind in (DataError, UnsafePickleError, AlignmentError)
}
_START = (
    "import importlib.util, sys; [sys.path.append(path) for path in sys.argv[3:] if path not in sys.path]; "
    "spec = importlib.util.spec_from_file_location('price_fusion', sys.argv[2]); "
    "package = sys.modules['price_fusion'] = importlib.util.module_from_spec(spec); spec.loader.exec_module(package); "
    "from price_fusion.data.readers.pickles.child import main; main(sys.argv[1])"
)
"""The child is of this very copy of the package: another one may be installed as well."""
_ADVICE = "Do not use this copy: get it again from its author, best as .npy files."


@dataclass(frozen=True)
class Limits:
    """What reading one file may cost.

    Attributes:
        memory: bytes of address space.
        seconds: of processor time.
    """

    memory: int
    seconds: int

    @property
    def clock_seconds(self) -> float:
        """What may pass by the clock."""
        return _CLOCK_FACTOR * self.seconds + _CLOCK_EXTRA

    @classmethod
    def of(cls, file_bytes: int, memory_gb: float | None = None, seconds: float | None = None) -> Limits:
        """Limits as asked for, and otherwise what the largest honest file of that size takes, and half as much again.

        Args:
            file_bytes: size of the pickle. Lists of floats grow most: nine bytes become forty.
            memory_gb: GiB of memory, at least 0.5.
            seconds: of processor time.

        Raises:
            ParameterError: if a limit is too small to read anything.
        """
        if memory_gb is not None and not _LEAST_GIB <= memory_gb < math.inf:
            raise ParameterError(f"memory_gb: found {memory_gb}, expected at least {_LEAST_GIB}. Raise it.")
        if seconds is not None and not 1 <= seconds < math.inf:
            raise ParameterError(f"seconds: found {seconds}, expected at least 1. Raise it.")
        memory = max(2 * _GIB, _GIB + 6 * file_bytes) if memory_gb is None else int(memory_gb * _GIB)
        return cls(memory, 30 + file_bytes // 5_000_000 if seconds is None else math.ceil(seconds))


def read_pickle(path: Path, asked: Asked, *, kind: str = "pickle", origin: str | None = None) -> FoundRows:
    """Read ids and vectors from a pickle or a file of ``torch.save``, in a child process.

    Args:
        path: the file.
        asked: names of keys or columns, and limits: GiB of memory that the child may take, by default 2, or 1 and six times
            the file, if that is more; seconds of processor time, by default 30 and one for each 5 MB.
        kind: ``pickle`` or ``torch``.
        origin: what messages call the file; its path by default.

    Returns:
        ids and vectors; the vectors memory-mapped from a file that has no name any more.

    Raises:
        UnsafePickleError: if the pickle asks for more than arrays, frames and plain containers.
        DataError: if it is damaged, holds something else, crashes its reader, or takes more than the limits.
        AlignmentError: if an id occurs twice.
        StorageError: if the temporary folder cannot be written, or has no room for the arrays.
    """
    name = origin or str(path)
    if not path.is_file():
        raise DataError(f"{name}: could not be read: found no file, expected a pickle. Name the file in the catalog.")
    limits = Limits.of(path.stat().st_size, asked.memory_gb, asked.seconds)
    with exchange_folder() as folder:
        request = Request(
            path=str(path.absolute()),
            origin=name,
            kind=kind,
            folder=str(folder),
            embeddings=asked.embeddings,
            ids=asked.ids,
            memory=limits.memory,
            seconds=limits.seconds,
            parent=os.getpid(),
        )
        return collect(name, folder, _run(request, limits.clock_seconds), limits)


@contextmanager
def exchange_folder() -> Iterator[Path]:
    """An empty folder that nobody else can look into, gone afterwards; those of dead processes go first.

    Raises:
        StorageError: if it cannot be made.
    """
    try:
        root = Path(tempfile.gettempdir())  # checks TMPDIR and the usual places
        for stale in root.glob(f"{_FOLDER}.*"):
            _remove_if_stale(stale)
        folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}.{os.getpid()}."))
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(
            f"the temporary folder cannot be written ({error}). Set TMPDIR to a folder that can, and give the "
            "same command again."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def collect(path: Path | str, folder: Path, status: int | Literal["late"], limits: Limits) -> FoundRows:
    """What the child left, or an error that says how it ended.

    Args:
        path: the file, for messages.
        folder: where the child left its files.
        status: exit status of the child, minus a signal's number, or ``late``.
        limits: what it was given.
    """
    if status == child.NOT_WRITTEN:
        raise _no_room(path, folder)
    if status != 0:
        raise _ended_badly(path, folder, status, limits)
    outcome = _outcome(path, folder)
    if outcome.get("limit") == "memory":
        raise _over_memory(path, limits)
    if "unreadable" in outcome:
        raise DataError(
            f"{path}: could not be read ({_printable(outcome['unreadable'])}), expected a pickle. Check its permissions and its disk."
        )
    if "error" in outcome:
        raise _named_error(outcome)
    ids = np.array(_plain_array(path, folder / child.IDS)) if outcome.get("ids") else None
    nulls = np.array(_plain_array(path, folder / child.NULLS))
    vectors = _plain_array(path, folder / child.VECTORS)
    if nulls.dtype != np.int64 or nulls.ndim != 1 or not np.isin(nulls, np.arange(len(vectors))).all():
        raise _no_answer(path, "it left rows that there are not")
    return FoundRows(ids, vectors, nulls)


def _run(request: Request, clock_seconds: float) -> int | Literal["late"]:
    """Start the child, wait, and give its exit status."""
    folder = Path(request.folder)
    # Where this process found the two packages, which -I may hide (PYTHONPATH, packages of the user).
    roots = {str(Path(module).parents[depth]) for module, depth in ((np.__file__, 1), (__file__, 4))}
    package = Path(__file__).parents[3] / "__init__.py"
    command = [sys.executable, "-I", "-B", "-c", _START, json.dumps(asdict(request)), str(package), *sorted(roots)]
    with (folder / "stderr").open("wb") as stderr:
        try:
            return subprocess.run(  # noqa: S603 - our own interpreter and our own module
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=_environment(),
                cwd=folder,
                timeout=clock_seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return "late"


def _environment() -> dict[str, str]:
    # Each thread of numpy's BLAS would take address space, which is what the limit counts.
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return {**threads, **kept, "LC_ALL": "C.UTF-8"}


def _remove_if_stale(folder: Path) -> None:
    owner = folder.name.split(".")[1]
    if not owner.isdecimal() or is_alive(int(owner)):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return  # another process was faster, or it is not ours
    try:
        # Processes of another container have other numbers; their locks are seen.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _outcome(path: Path | str, folder: Path) -> dict[str, Any]:
    try:
        with _regular(folder / child.OUTCOME).open("rb") as file:
            outcome = json.loads(file.read(_OUTCOME_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _no_answer(path, "it left no outcome") from error
    if not isinstance(outcome, dict):
        raise _no_answer(path, "it left no outcome")
    return outcome


def _named_error(outcome: dict[str, Any]) -> DataError:
    kind = _CHILD_ERRORS.get(str(outcome["error"]), DataError)
    problems = outcome.get("problems")
    listed = [_printable(problem) for problem in problems] if isinstance(problems, list) else []
    return kind(_printable(outcome.get("message")), listed)


def _plain_array(path: Path | str, file: Path) -> NDArray[Any]:
    try:
        array = np.load(_regular(file), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, EOFError) as error:
        raise _no_answer(path, f"its {file.name} is no array") from error
    if not isinstance(array, np.ndarray):
        raise _no_answer(path, f"its {file.name} is no array")
    return array


def _regular(file: Path) -> Path:
    if not stat.S_ISREG(file.lstat().st_mode):
        raise OSError(f"{file.name} is no plain file")
    return file


def _ended_badly(path: Path | str, folder: Path, status: int | Literal["late"], limits: Limits) -> DataError:
    if status == "late":
        return DataError(
            f"{path}: reading it took longer than {limits.clock_seconds:g} s, of which it may take "
            f"{limits.seconds} s of processor time. If the file is right and the disk slow, set a larger "
            f"seconds in its catalog entry. Otherwise: {_ADVICE}"
        )
    if status == -signal.SIGXCPU:
        return DataError(
            f"{path}: reading it takes more than {limits.seconds} s of processor time (SIGXCPU), as if it were damaged or "
            f"made to do harm. If the file is right, set a larger seconds in its catalog entry. Otherwise: {_ADVICE}"
        )
    if status == -signal.SIGKILL:
        return DataError(
            f"{path}: the process that read it was killed (SIGKILL), most likely by the system for want of memory; it may "
            f"take {limits.memory / _GIB:.3g} GiB. Free some memory, and start once more."
        )
    if status < 0:
        return DataError(
            f"{path}: reading it crashed the process of its own that did so ({_signal_name(-status)}): the file is damaged "
            f"or made to do harm. {_ADVICE}"
        )
    return _no_answer(path, _last_line(folder / "stderr") or f"exit status {status}")


def _no_room(path: Path | str, folder: Path) -> StorageError:
    free = shutil.disk_usage(folder).free / 1e6
    return StorageError(
        f"{path}: its arrays do not fit in the temporary folder {folder.parent} (TMPDIR; {free:,.1f} MB free), through which "
        f"they pass. Set TMPDIR to a folder on a larger disk, or free some "
        "space, and give the same command again."
    )


def _over_memory(path: Path | str, limits: Limits) -> DataError:
    return DataError(
        f"{path}: reading it takes more than {limits.memory / _GIB:.3g} GiB of memory, as if it were damaged or made to do "
        f"harm. If the file is right, set a larger memory_gb in its catalog entry. Otherwise: {_ADVICE}"
    )


def _no_answer(path: Path | str, reason: str) -> DataError:
    return DataError(
        f"{path}: the process that should read it ended without a result ({reason}), expected its ids and vectors. "
        f"Start once more; if it ends like this again: {_ADVICE}"
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(file: Path) -> str:
    with _regular(file).open("rb") as stderr:
        stderr.seek(max(0, file.stat().st_size - _STDERR_BYTES))
        lines = stderr.read(_STDERR_BYTES).decode("utf-8", "replace").strip().splitlines()
    return _printable(lines[-1])[:300] if lines else ""


def _printable(text: object) -> str:
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in str(text))
