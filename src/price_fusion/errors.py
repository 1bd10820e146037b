"""What can go wrong, by what the reader of the message has to mend.

Each message names the file, field, row or id concerned, what was found, what was expected, and what to do.
"""


class PriceFusionError(Exception):
    """Base of every error that this package raises on purpose."""


class ParameterError(PriceFusionError):
    """The configuration says something that cannot be run."""


class DataError(PriceFusionError):
    """An input file or its contents cannot be used as they are."""


class UnsafePickleError(DataError):
    """A pickle asks for code that loading embeddings never needs."""


class AlignmentError(DataError):
    """Ids of products and of embeddings do not fit together."""


class CheckpointError(PriceFusionError):
    """A checkpoint cannot be read, or does not fit what it is used with."""


class ComparisonError(PriceFusionError):
    """What was to be compared is not of the same rows, data or configuration."""


class TrainingError(PriceFusionError):
    """Training cannot go on."""


class MissingPackageError(PriceFusionError):
    """An optional package that is asked for is not installed."""


class StorageError(PriceFusionError):
    """A file or folder cannot be written."""


class BusyError(PriceFusionError):
    """Another process is writing into the folder that this one wants to write into."""


class InterruptedRunError(PriceFusionError):
    """The user or the system asked the run to stop, and it did so with all its work saved."""
