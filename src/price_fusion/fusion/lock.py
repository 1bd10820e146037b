"""One writer a folder: a second run is told who the first is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from price_fusion.errors import BusyError
from price_fusion.fusion.disks import can_lock
from price_fusion.fusion.files import storage_errors, write_whole

LOCK = ".run.lock"
HOLDER = ".run.json"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only process that writes below a folder, made if it is not there.

    The operating system lets go of the lock when the process ends, however it ends. A disk that cannot lock files gets a
    warning instead.

    Raises:
        BusyError: if another process is; with its id, its start and its command.
        StorageError: if the folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            if can_lock(folder / LOCK):
                lock.acquire(timeout=0)
        except Timeout as error:
            raise BusyError(
                f"{folder.resolve()}: {_holder(folder)} is writing here; two runs would spoil each other's files. Wait for "
                "it, or give this run a data folder of its own (data: in conf/<environment>/globals.yml)."
            ) from error
    try:
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        described = {"process": os.getpid(), "started": started, "command": " ".join(sys.argv)}
        write_whole(folder / HOLDER, json.dumps(described).encode())
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as it has said so yet."""
    try:
        described = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {described['process']}, started {described['started']} ({described['command'][:200]}),"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
