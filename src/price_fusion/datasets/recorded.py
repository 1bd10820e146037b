"""What the datasets of outputs have in common: a record of what they were made from, which the hook ``made_from`` compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.datasets.errors import is_whole, kedro_errors
from price_fusion.datasets.made_from import Facts, Origins
from price_fusion.datasets.sidecar import Sidecar
from price_fusion.storage.digests import digest_of


class RecordedOutput:
    """Stands before Kedro's class among the bases of a dataset whose outputs know what they were made from."""

    origins: Origins | None = None
    """What its node reads in this run; the hook sets it. None outside of runs: then nothing is recorded."""
    is_stale: bool = False
    """Whether it counts as missing in this run, as parameters or raw files are others than those it was made from."""

    @property
    def lacks_its_digest(self) -> bool:
        """Whether a file is there that counts as missing, as the hidden file with its digest is not."""
        return False

    def made_from(self) -> Facts | None:
        """What the record on disk says; None where there is no output, or none with a record."""
        raise NotImplementedError

    def facts(self) -> Facts | None:
        """What is to be recorded with an output that is saved now."""
        return None if self.origins is None else self.origins.facts()


class FileRecord(RecordedOutput):
    """The record of a file, or of a folder by its manifest, is in a sidecar; that is written last."""

    @property
    def _recorded_file(self) -> Path:
        """The file, or the manifest of the folder."""
        raise NotImplementedError

    def made_from(self) -> Facts | None:
        """What the sidecar says, if it is of the file that is there."""
        return Sidecar(self._recorded_file).made_from()

    def load(self) -> Any:
        """As the dataset does; it checks what it loads."""
        raise NotImplementedError

    @kedro_errors()
    def _exists(self) -> bool:
        return not self.is_stale and self._recorded_file.is_file() and is_whole(self.load)

    def _record(self) -> None:
        """Write the sidecar of what has been saved."""
        path = self._recorded_file
        Sidecar(path).write(digest_of(path), self.facts())
