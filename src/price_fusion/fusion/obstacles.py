"""What keeps a path from being written or read: the file or folder that is in the way, whose it is, and what to change.

Folders that several people share are where this happens: what one of them made, the others may not be allowed to change.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_OTHER_KIND = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY})


def obstacle(path: Path, error: OSError) -> tuple[str, str] | None:
    """What is in the way, and what to do about it.

    Args:
        path: that was to be written.
        error: of the operating system.

    Returns:
        what was found and an advice, without full stops; None for an error of another kind.
    """
    named = _named(error) or path
    if error.errno in _FORBIDDEN:
        one = _nearest(named)
        change = f"chmod g+w '{one}'; umask 002 before runs keeps what comes open to the group"
        return (
            f"{described(one)}, and this run is of {_user(os.geteuid())}",
            f"Have {_owner(one)} let others write there ({change}), or name another folder in conf/<environment>/globals.yml",
        )
    if error.errno in _OTHER_KIND:
        one = next((one for one in (path, *path.parents) if os.path.lexists(one) and not one.is_dir()), path)
        expected = "a file" if one.is_dir() else "a folder"
        return f"{described(one)}, expected {expected}", f"Move '{one}' elsewhere"
    return None


def _named(error: OSError) -> Path | None:
    """The path that the operating system refused; of two, the one that was to be replaced if it is there."""
    names = [
        os.fsdecode(name) for name in (error.filename2, error.filename) if isinstance(name, (str, bytes, os.PathLike))
    ]
    return next((Path(name) for name in names if os.path.lexists(name)), Path(names[0]) if names else None)


def _nearest(path: Path) -> Path:
    """The path, or the first folder on the way up that is there."""
    return next((one for one in (path, *path.absolute().parents) if os.path.lexists(one)), path)


def unreadable_by_us(path: Path) -> str:
    """What keeps a file from being read, and what to change, in two sentences."""
    one = next((one for one in (*reversed(path.parents), path) if not os.access(one, os.R_OK)), path)
    return (
        f"may not be read: {described(one)}, and this run is of {_user(os.geteuid())}. Have {_owner(one)} let others read it "
        f"(chmod -R g+rX '{one}')."
    )


def described(path: Path) -> str:
    """A file or folder, whose it is, and who may do what with it."""
    kind = "folder" if path.is_dir() else "file"
    return f"the {kind} {path} belongs to {_owner(path)} ({stat.filemode(path.lstat().st_mode)})"


def _owner(path: Path) -> str:
    return _user(path.lstat().st_uid)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container there is often no name
        return f"user {number}"
