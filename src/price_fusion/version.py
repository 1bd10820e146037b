"""The version of the package, for all that notes it in files."""

__version__ = "0.1.0"
