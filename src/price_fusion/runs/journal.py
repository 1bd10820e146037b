"""What each node of a run took: a line per node in a file beside the run's record.

Threads and processes of a run append to the same file. The catalog, which the runner hands to all of them, says where it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kedro.io import CatalogProtocol

from price_fusion.datasets.recorded import RecordedOutput

NODES = "nodes.jsonl"
JOURNAL = "run_journal"
"""Name in the catalog."""

Catalog = CatalogProtocol[Any, Any]


@dataclass(frozen=True)
class NodeTime:
    """A node that is done.

    Attributes:
        name: of the node.
        outputs: names of its datasets.
        seconds: with loading and saving; with ``--async``, without loading.
        peak_bytes: most memory that its process had held by then; None where the system does not say.
    """

    name: str
    outputs: Sequence[str]
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Journal:
    """The nodes of a run that are done.

    Attributes:
        path: of the file; its folder is there.
        expected: how many nodes there will be; None where that is not known.
    """

    path: Path
    expected: int | None = None

    def add(self, node: NodeTime) -> int | None:
        """Note that a node is done.

        Returns:
            how many are done by now; None where the file cannot be written, which is no reason for a run to fail.
        """
        line = json.dumps(asdict(node)).encode() + b"\n"
        try:
            with self.path.open("ab+", buffering=0) as file:
                file.write(line)
                end = file.tell()  # of this line, whoever else has appended meanwhile
                file.seek(0)
                return file.read(end).count(b"\n")
        except OSError:
            return None

    def nodes(self) -> list[NodeTime]:
        """The nodes that are done, in the order of their ends."""
        found = []
        with suppress(OSError):
            for line in self.path.read_bytes().splitlines():
                with suppress(ValueError, TypeError):  # half a line, where the disk was full
                    found.append(NodeTime(**json.loads(line)))
        return found

    def outputs(self, catalog: Catalog, kinds: Sequence[str], without: Collection[str] = ()) -> dict[str, Any]:
        """Outputs of these nodes, as the catalog keeps them.

        Args:
            catalog: of the run.
            kinds: last parts of the names that are wanted.
            without: names that are not wanted all the same.
        """
        names = dict.fromkeys(name for node in self.nodes() for name in node.outputs if name not in without)
        wanted = [name for name in names if name.endswith(tuple(kinds))]
        for dataset in map(catalog.get, wanted):
            if isinstance(dataset, RecordedOutput):
                dataset.is_stale = False  # made in this run, by another process than this one under ParallelRunner
        return {name: catalog.load(name) for name in wanted if catalog.exists(name)}

    def metrics(self, catalog: Catalog, kinds: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Outputs of these kinds that are mappings, built-in or a user's own."""
        return {name: data for name, data in self.outputs(catalog, kinds).items() if isinstance(data, Mapping)}


def journal_of(catalog: Catalog) -> Journal | None:
    """The journal of the run of a catalog; None for a run without a project."""
    return catalog.load(JOURNAL) if JOURNAL in catalog else None


def path_of(catalog: Catalog, name: str) -> Path | None:
    """Where the catalog keeps a dataset; None for one that is in no file or folder."""
    path = getattr(catalog.get(name), "_filepath", None)
    return None if path is None else Path(str(path))


def peak_memory() -> int | None:
    """Most memory that this process has held, bytes; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
