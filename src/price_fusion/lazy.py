"""pandas, pyarrow and a few others, imported when they are first used, and packages that are extras of this one.

Each start of a command pays for what the modules that it loads import at their top, and pandas takes as long as Kedro. So
modules that pipelines, hooks and datasets import take these names from here. Annotations such as ``pd.DataFrame``, which Kedro
resolves to find typed parameters, stay as they are.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from price_fusion.errors import MissingPackageError

__all__ = ["duckdb", "filelock", "fsspec", "install_command", "optional_package", "pa", "pd", "pq"]


class _OnFirstUse(ModuleType):
    """Stands for a module that is imported when one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        # Not from sys.modules: another thread may be importing it, and import_module waits until it is whole.
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import duckdb
    import filelock
    import fsspec
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pd, pa, pq = map(_OnFirstUse, ("pandas", "pyarrow", "pyarrow.parquet"))
    duckdb, filelock, fsspec = map(_OnFirstUse, ("duckdb", "filelock", "fsspec"))


def install_command(extra: str) -> str:
    """What installs an extra of this package, in the versions that it was tested with; for messages."""
    return f'pip install --constraint requirements.lock --editable ".[{extra}]"'


def optional_package(name: str, extra: str | None = None) -> Any:
    """Import a package that is an extra of this one.

    Args:
        name: of the package.
        extra: that brings it; None: the one of the same name.

    Raises:
        MissingPackageError: saying how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(f"{name} is not installed: {install_command(extra or name)} brings it.") from error
