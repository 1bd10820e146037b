"""What the datasets of outputs have in common: a record of what they were made from, which the hook ``made_from`` compares."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Whether it counts as missing in this run, as what it is made from is no longer what it was made from."""
    is_model: bool = False
    """Whether it was trained, which takes long: it is kept when what it was made from is gone, and not when that is another."""

    @property
    def lacks_its_digest(self) -> bool:
        """Whether a file is there that counts as missing, as the hidden file with its digest is not."""
        return False

    @property
    def lacks_prices(self) -> bool:
        """Whether it is a table of what a model predicts that is not there, so that no digest says which model that was."""
        return False

    @property
    def origin_file(self) -> Path | None:
        """The file whose digest stands for this output in the records of what is made from it.

        None where the parameters and raw files that led to it say enough: tables are the same whenever they are made again.
        """
        return None

    def made_from(self) -> Facts | None:
        """What the record on disk says; None where there is no output, or none with a record."""
        raise NotImplementedError

    def origin_digests(self) -> Mapping[Path, str]:
        """Digests of the files that it was made from, by their paths, as the record says; none where it names none."""
        return {}

    def facts(self) -> Facts | None:
        """What is to be recorded with an output that is saved now."""
        return None if self.origins is None else self.origins.facts()


class FileRecord(RecordedOutput):
    """The record of a file, or of a folder by its manifest, is in a sidecar; that is written last."""

    @property
    def recorded_file(self) -> Path:
        """The file, or the manifest of the folder."""
        raise NotImplementedError

    def made_from(self) -> Facts | None:
        """What the sidecar says, if it is of the file that is there."""
        return self._sidecar.made_from()

    def origin_digests(self) -> Mapping[Path, str]:
        """As the sidecar says."""
        return self._sidecar.origins()

    def load(self) -> Any:
        """As the dataset does; it checks what it loads."""
        raise NotImplementedError

    @property
    def _sidecar(self) -> Sidecar:
        return Sidecar(self.recorded_file)

    @kedro_errors()
    def _exists(self) -> bool:
        return not self.is_stale and self.recorded_file.is_file() and is_whole(self.load)

    def _record(self, digest: str | None = None) -> None:
        """Write the sidecar of what has been saved, with its digest where that is known."""
        files = () if self.origins is None else self.origins.files()
        self._sidecar.write(digest or digest_of(self.recorded_file), files, self.facts())
        self.is_stale = False
