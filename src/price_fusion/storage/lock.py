"""One writer a folder: runs of one process take turns, a run of another process is told who the first is."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from price_fusion.errors import BusyError
from price_fusion.lazy import filelock
from price_fusion.storage.disks import can_lock
from price_fusion.storage.files import storage_errors, write_whole

logger = logging.getLogger(__name__)

LOCK = ".run.lock"
HOLDER = ".run.json"
PATIENCE = 0.5
"""Seconds that a writer waits for another process: longer than ``writer_of`` holds the lock to see whether it can."""


class _Turn:
    """Whose turn it is among the threads of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thread: int | None = None


_turns: defaultdict[Path, _Turn] = defaultdict(_Turn)


@contextmanager
def only_writer(folder: Path, run: str = "") -> Iterator[None]:
    """Be the only one that writes below a folder, made if it is not there; wait for other threads of this process.

    The operating system lets go of the lock when the process ends, however it ends. A disk that cannot lock files gets a
    warning instead.

    Args:
        folder: that is written.
        run: id of the run that writes.

    Raises:
        BusyError: if another process writes there, or this very thread does; with its id, its start and its command.
        StorageError: if the folder cannot be written.
    """
    turn = _turns[folder.resolve()]
    if turn.thread == threading.get_ident():
        raise _busy(folder)
    if not turn.lock.acquire(blocking=False):
        logger.info("waiting for the run that writes into %s", folder.resolve())
        turn.lock.acquire()
    try:
        turn.thread = threading.get_ident()
        with _held(folder, run):
            yield
    finally:
        turn.thread = None
        turn.lock.release()


def writer_of(folder: Path) -> str | None:
    """Id of the run that writes below a folder at this moment; None if there is none.

    The lock says so, not the number of a process: numbers are used again, and those of a container mean nothing outside it.
    """
    if not (folder / LOCK).exists():
        return None
    lock = filelock.FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return str(_described(folder).get("run") or "")
    except (OSError, NotImplementedError):  # read-only, or a disk without locks: the holder's own word is all there is
        return _described(folder).get("run")
    lock.release()
    return None


@contextmanager
def _held(folder: Path, run: str) -> Iterator[None]:
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, thread_local=False)
        try:
            if can_lock(folder / LOCK):
                lock.acquire(timeout=PATIENCE)
        except filelock.Timeout as error:
            raise _busy(folder) from error
    try:
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        described = {
            "process": os.getpid(),
            "host": platform.node(),
            "started": started,
            "command": " ".join(sys.argv),
            "run": run,
        }
        write_whole(folder / HOLDER, json.dumps(described).encode())
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _busy(folder: Path) -> BusyError:
    found = _described(folder)
    holder = "another process"
    if {"process", "started", "command"} <= found.keys():
        host = f" on {found['host']}" if "host" in found else ""
        holder = f"process {found['process']}{host}, started {found['started']} ({str(found['command'])[:200]}),"
    return BusyError(
        f"{folder.resolve()}: {holder} is writing here; two runs would spoil each other's files. Wait for it, or give this "
        "run a data folder of its own (data: in conf/<environment>/globals.yml)."
    )


def _described(folder: Path) -> dict[str, Any]:
    """What the holder of the lock has said of itself so far."""
    try:
        found = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
