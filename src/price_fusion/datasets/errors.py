"""Errors of files, raised from Kedro datasets."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kedro.io import DatasetError

from price_fusion.errors import ComputeError, DataError, MissingPackageError, PriceFusionError
from price_fusion.storage.obstacles import refusal

logger = logging.getLogger(__name__)


class DatasetFileError(DataError, DatasetError):
    """A file behind a dataset cannot be used as it is.

    A ``DatasetError`` too, so that Kedro passes it on as it is instead of wrapping it into another message.
    """


@contextmanager
def kedro_errors() -> Iterator[None]:
    """Let the library's errors pass through Kedro with their own message; so do files that may not be read or written."""
    try:
        yield
    except PermissionError as error:
        problem = refusal(error)
        if problem is None:
            raise  # Kedro names the dataset, which is all that is known
        raise DatasetFileError(problem) from error
    except (ComputeError, MissingPackageError) as error:
        raise DatasetError(str(error)) from error  # no fault of the file; what is shown and recorded is its cause
    except PriceFusionError as error:
        raise DatasetFileError(str(error), error.problems if isinstance(error, DataError) else ()) from error


def is_whole(load: Callable[[], object]) -> bool:
    """Whether something that is there can be loaded; a damaged one counts as missing, is named, and so made again."""
    try:
        load()
    except PriceFusionError as error:
        logger.warning("%s It counts as missing.", error)
        return False
    return True
