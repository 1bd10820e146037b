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
_OPEN_THE_WAY = "let others pass through it"


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
        if folder := _closed_folder(named):
            return _theirs(folder), f"Have {_owner(folder)} {_OPEN_THE_WAY} (chmod g+x '{folder}')"
        one = _nearest(named)
        change = f"chmod g+w '{one}'; umask 002 before runs keeps what comes open to the group"
        return (
            _theirs(one),
            f"Have {_owner(one)} let others write there ({change}), or name another folder in conf/<environment>/globals.yml",
        )
    if error.errno in _OTHER_KIND:
        one = next((one for one in (path, *path.parents) if os.path.lexists(one) and not _is_folder(one)), path)
        expected = "a file" if _is_folder(one) else "a folder"
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


def _closed_folder(path: Path) -> Path | None:
    """The first folder on the way to a path that this run may not pass; None: it may pass all that are there.

    The way is that of the file behind a link: its folders are what has to be open.
    """
    folders = reversed(Path(os.path.realpath(path)).parents)
    return next((one for one in folders if os.path.lexists(one) and not os.access(one, os.X_OK)), None)


def _closed(path: Path) -> tuple[Path, str] | None:
    """What keeps a path from being read, and what its owner should do; None: nothing that permissions show."""
    if folder := _closed_folder(path):
        return folder, f"{_OPEN_THE_WAY} (chmod g+x '{folder}')"
    if not os.path.lexists(path) or os.access(path, os.R_OK | os.X_OK if _is_folder(path) else os.R_OK):
        return None
    return path, _let_read(path)


def _let_read(path: Path) -> str:
    return f"let others read it (chmod {'-R g+rX' if _is_folder(path) else 'g+r'} '{path}')"


def closed_to_us(path: Path) -> Path | None:
    """What keeps a path from being read: a folder on the way, or the path itself; None: nothing that permissions show."""
    found = _closed(path)
    return found and found[0]


def unreadable_by_us(path: Path) -> str:
    """What keeps a file or folder from being read, and what to change, in two sentences."""
    one, change = _closed(path) or (path, _let_read(path))
    return f"may not be read: {_theirs(one)}. Have {_owner(one)} {change}."


def refusal(error: PermissionError) -> str | None:
    """What was refused, reading or writing, by what, and what to change; None: the error names no path.

    An error does not say what was tried. Permissions do: what may be read, and not written, was to be written.
    """
    path = _named(error)
    if path is None:
        return None
    if _closed(path) is None and not os.access(_nearest(path), os.W_OK):
        found, advice = obstacle(path, error) or (_theirs(path), "")
        return f"{path}: may not be written: {found}. {advice}."
    return f"{path}: {unreadable_by_us(path)}"


def _theirs(path: Path) -> str:
    return f"{described(path)}, and this run is of {_user(os.geteuid())}"


def described(path: Path) -> str:
    """A file or folder, whose it is, and who may do what with it; it never raises, as it is called on errors."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return f"{path} (its owner is not known: {error.strerror})"
    kind = "folder" if _is_folder(path) else "file"
    return f"the {kind} {path} belongs to {_owner(path)} ({stat.filemode(mode)})"


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a folder on the way is closed


def _owner(path: Path) -> str:
    try:
        return _user(path.lstat().st_uid)
    except OSError:
        return "its owner"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container there is often no name
        return f"user {number}"
