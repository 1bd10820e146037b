"""Errors of files, raised from Kedro datasets."""

from collections.abc import Iterator
from contextlib import contextmanager

from kedro.io import DatasetError

from price_fusion.errors import DataError, PriceFusionError


class DatasetFileError(DataError, DatasetError):
    """A file behind a dataset cannot be used as it is.

    A ``DatasetError`` too, so that Kedro passes it on as it is instead of wrapping it into another message.
    """


@contextmanager
def kedro_errors() -> Iterator[None]:
    """Let the library's errors pass through Kedro with their own message."""
    try:
        yield
    except PriceFusionError as error:
        raise DatasetFileError(str(error), error.problems if isinstance(error, DataError) else ()) from error
