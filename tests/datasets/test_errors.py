"""Errors of this package on their way through Kedro."""

from __future__ import annotations

import pytest
from kedro.io import AbstractDataset, DataCatalog, DatasetError

from price_fusion.console.errors import own_error
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.errors import ComputeError, DataError, MissingPackageError, PriceFusionError


class Broken(AbstractDataset[object, object]):
    """A dataset that always fails with the same error."""

    def __init__(self, error: PriceFusionError) -> None:
        self._error = error

    def load(self) -> object:
        """Raise the error."""
        with kedro_errors():
            raise self._error

    def save(self, data: object) -> None:
        """Raise the error."""
        with kedro_errors():
            raise self._error

    def _describe(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (MissingPackageError("no Ray"), MissingPackageError),
        (ComputeError("no cluster"), ComputeError),
        (DataError("no file"), DatasetFileError),
    ],
)
def test_an_error_that_is_not_of_the_file_keeps_its_class(error: PriceFusionError, shown: type[Exception]) -> None:
    catalog = DataCatalog({"table": Broken(error)})
    for use in (lambda: catalog.load("table"), lambda: catalog.save("table", 1)):
        with pytest.raises(DatasetError, match=str(error)) as caught:
            use()
        assert type(own_error(caught.value)) is shown
        assert "Failed while" not in str(caught.value)
