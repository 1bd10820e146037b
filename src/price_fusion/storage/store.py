"""Files of one folder: on a disk, or in an object store that fsspec has a package for (``s3://bucket/folder``).

A file is there whole or not at all, in either. Settings and keys of an object store are fsspec's own (its environment
variables, such as ``FSSPEC_S3_ENDPOINT_URL``, or its configuration files), so that each worker finds them, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from price_fusion.errors import MissingPackageError, PriceFusionError, StorageError
from price_fusion.lazy import fsspec, install_command, pa, pq
from price_fusion.storage.digests import digest_of
from price_fusion.storage.files import storage_errors, write_whole

_TAGS = ("ETag", "etag", "md5Hash", "checksum")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
"""What stores call them in ``info`` of fsspec."""


class Store:
    """A folder. What is handed to workers is its address; each opens it by itself.

    Args:
        url: a path, or the URL of a folder in an object store.

    Raises:
        MissingPackageError: if fsspec needs a package for this kind of store that is not installed.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url).removesuffix("/")
        self.is_local = "://" not in self.url or self.url.startswith("file://")
        self.path = Path(self.url.removeprefix("file://"))
        self.filesystem: Any = None if self.is_local else _filesystem(self.url)
        """Of fsspec, where the folder is not local."""

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.url,)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def write(self, name: str, contents: bytes | memoryview) -> None:
        """Replace a file, whole or not at all.

        Raises:
            StorageError: if it cannot be written.
        """
        if self.is_local:
            write_whole(self.path / name, bytes(contents) if isinstance(contents, memoryview) else contents)
            return
        with self._errors(name, "written"):
            self.filesystem.pipe_file(self._at(name), bytes(contents))

    def read(self, name: str) -> bytes:
        """The contents of a file.

        Raises:
            FileNotFoundError: if there is none.
            StorageError: if it cannot be read.
        """
        with self._errors(name, "read"):
            if self.is_local:
                return (self.path / name).read_bytes()
            contents: bytes = self.filesystem.cat_file(self._at(name))
            return contents

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none.

        Raises:
            StorageError: if the store does not answer.
        """
        with self._errors(name, "read"):
            try:
                if self.is_local:
                    return (self.path / name).stat().st_size
                return int(self.filesystem.info(self._at(name))["size"])
            except FileNotFoundError:
                return None

    def version(self, name: str) -> list[str]:
        """What tells the contents of a file from others: on a disk, their sha256, whatever its times are.

        An object store says a size and a tag of the contents; one without tags, the time of change.

        Args:
            name: within the folder; "" where this is the address of a file.

        Raises:
            FileNotFoundError: if there is none.
            StorageError: if it cannot be read.
        """
        with self._errors(name, "read"):
            if self.is_local:
                return [digest_of(self.path / name)]
            told = self.filesystem.info(self._at(name))
            tags = [str(told[key]) for key in _TAGS if key in told] or [str(told[key]) for key in _TIMES if key in told]
            return [str(told["size"]), *tags]

    def names(self) -> list[str]:
        """All files, by their paths within the folder; those that are being written are left out.

        Raises:
            StorageError: if the store does not answer.
        """
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Bytes of all files, by their paths as in ``names``; of one listing, where ``size`` asks for each.

        Raises:
            StorageError: if the store does not answer.
        """
        with self._errors("", "listed"):
            found = self._local_sizes() if self.is_local else self._remote_sizes()
            return {name: size for name, size in found if not name.rpartition("/")[2].startswith(".")}

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            StorageError: if it cannot be removed.
        """
        with self._errors(name, "removed"):
            if self.is_local:
                (self.path / name).unlink(missing_ok=True)
                return
            try:
                self.filesystem.rm_file(self._at(name))
            except FileNotFoundError:
                return

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """A parquet file, opened; pages are checked against their checksums as they are read.

        Raises:
            FileNotFoundError: if there is none.
            StorageError: if it cannot be read, or is damaged.
        """
        with self._errors(name, "read"), self._damage(name):
            if self.is_local:
                with pq.ParquetFile(self.path / name, memory_map=True, page_checksum_verification=True) as file:
                    yield file
                return
            with (
                self.filesystem.open(self._at(name), "rb", cache_type="readahead") as stream,
                pq.ParquetFile(stream, page_checksum_verification=True, pre_buffer=True) as file,
            ):
                yield file

    def _local_sizes(self) -> Iterator[tuple[str, int]]:
        for path in self.path.rglob("*"):
            if path.is_file():
                yield path.relative_to(self.path).as_posix(), path.stat().st_size

    def _remote_sizes(self) -> Iterator[tuple[str, int]]:
        root = self._at("")
        try:
            found = self.filesystem.find(root, detail=True)
        except FileNotFoundError:
            return
        for path, about in found.items():
            yield path.removeprefix(root).removeprefix("/"), int(about["size"])

    def _place(self, name: str) -> str:
        return f"{self.url}/{name}" if name else self.url

    def _at(self, name: str) -> str:
        path: str = self.filesystem._strip_protocol(self.url)
        return f"{path}/{name}" if name else path

    @contextmanager
    def _errors(self, name: str, what: str) -> Iterator[None]:
        """Turn errors of disks and object stores into one that names the file."""
        local = storage_errors(self.path / name) if self.is_local and what in ("written", "removed") else nullcontext()
        kinds: tuple[type[Exception], ...] = (OSError, *_store_exceptions(self.filesystem))
        try:
            with local:
                yield
        except PriceFusionError:
            raise
        except kinds as error:
            if isinstance(error, FileNotFoundError) and what != "written":
                raise
            raise StorageError(
                f"{self._place(name)}: could not be {what} ({type(error).__name__}: {error}). What is finished is kept. "
                f"{self._advice()}, and give the same command again."
            ) from error

    @contextmanager
    def _damage(self, name: str) -> Iterator[None]:
        """Turn what Arrow says of damaged files into an error that names the file; those of the disk have a number."""
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and (error.errno is not None or isinstance(error, FileNotFoundError)):
                raise
            raise StorageError(
                f"{self._place(name)}: is damaged, or no parquet file ({error}). Bring it back from a copy, or remove it and "
                "run the pipeline that makes it again."
            ) from error

    def _advice(self) -> str:
        if self.is_local:
            return "Check that its disk is there and may be read"
        return (
            "Check that the store can be reached and that its address and keys are right (fsspec's settings, such as "
            "FSSPEC_S3_ENDPOINT_URL, FSSPEC_S3_KEY and FSSPEC_S3_SECRET)"
        )


def _filesystem(url: str) -> Any:
    try:
        # Listings are not remembered: other workers write, too.
        filesystem, _ = fsspec.core.url_to_fs(url, use_listings_cache=False, **_limits(url))
    except ImportError as error:
        raise MissingPackageError(
            f"{url}: fsspec needs another package for such addresses ({error}). For s3://: {install_command('s3')}."
        ) from error
    except ValueError as error:
        raise StorageError(f"{url}: is no address of a store ({error}).") from error
    return filesystem


def _limits(url: str) -> dict[str, Any]:
    """Options that let S3 give up after seconds, where fsspec's settings do not say otherwise."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    retries = {"retries": {"mode": "standard", "total_max_attempts": 4}}
    return {"config_kwargs": {**retries, **fsspec.config.conf.get("s3", {}).get("config_kwargs", {})}}


def _store_exceptions(filesystem: Any) -> tuple[type[Exception], ...]:
    """What a store's client raises beside OSError; botocore has a hierarchy of its own."""
    if filesystem is None or "s3" not in filesystem.protocol:
        return ()
    from botocore.exceptions import BotoCoreError

    return (BotoCoreError,)
