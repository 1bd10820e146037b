"""What some disks cannot do: network and shared ones (CIFS, FUSE, folders of virtual machines) may neither flush nor lock.

A run goes on there, with one warning of what is not promised.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.ENOTTY})
"""How a disk says that it cannot do something at all; an operation that failed has other numbers."""
_warned: set[tuple[int, str]] = set()


def sync(path: Path) -> None:
    """Wait until a file's or folder's contents are on disk, as far as the disk lets anybody wait for that.

    Raises:
        OSError: if flushing fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        kind = "folders" if path.is_dir() else "files"
        _warn_once(path, f"flush {kind}", error, "after a power cut, what was saved last may be missing")
    finally:
        os.close(descriptor)


def can_lock(path: Path) -> bool:
    """Whether the disk of a file, made if it is not there, can lock files.

    Raises:
        OSError: if the file cannot be made or opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            return True  # most likely, another process holds it
        _warn_once(
            path, "lock files", error, "two runs at once in this folder would spoil each other's files unnoticed"
        )
        return False
    finally:
        os.close(descriptor)
    return True


def _warn_once(path: Path, what: str, error: OSError, consequence: str) -> None:
    """Once for each disk and inability."""
    key = (path.stat().st_dev, what)
    if key in _warned:
        return
    _warned.add(key)
    folder = path if path.is_dir() else path.parent
    logger.warning("%s: its disk cannot %s (%s): %s. The run goes on.", folder, what, error.strerror, consequence)
