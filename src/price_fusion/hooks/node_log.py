"""What a run says of its nodes: a line for each, with its time; on errors, which node it was and how to go on."""

from __future__ import annotations

import logging
import threading
from time import perf_counter

from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from price_fusion.compute.interruption import command_with, remembered_command
from price_fusion.console.errors import NODE_NOTE
from price_fusion.runs.journal import Catalog, Journal, NodeTime, journal_of, peak_memory

logger = logging.getLogger(__name__)

ONLY_MISSING = "--only-missing-outputs"


class _Clock(threading.local):
    """Of the node that this thread runs. Hooks of datasets are told no run, but a node and its datasets share a thread.

    Only ``--async`` loads in other threads; there a node's time begins when its inputs are loaded.
    """

    node: str | None = None
    started = 0.0
    saved = 0
    journal: Journal | None = None

    def start(self, node: str) -> None:
        """Begin, unless this node has begun."""
        if self.node != node:
            self.node, self.started, self.saved, self.journal = node, perf_counter(), 0, None


_clock = _Clock()


class NodeLogHooks:
    """Says when a node is done and how long it took, loading and saving included; on errors, which node it was."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget a node of this thread that could not load its inputs."""
        _clock.node = None

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Start the clock of the node."""
        _clock.start(node.name)

    @hook_impl
    def before_node_run(self, node: Node, catalog: Catalog) -> None:
        """Learn whose node it is; start the clock of a node without inputs."""
        _clock.start(node.name)
        _clock.journal = journal_of(catalog)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """A node without outputs is done."""
        if not node.outputs:
            _finish(node)

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """A node is done when all that it made is saved."""
        _clock.saved += 1
        if _clock.saved == len(node.outputs):
            _finish(node)

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Remember which node it was."""
        error.add_note(f"{NODE_NOTE}{node.name}")
        _clock.node = None

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception, catalog: Catalog) -> None:
        """Say how to go on with what is done."""
        journal = journal_of(catalog)
        done = len(journal.nodes()) if journal is not None else 0
        if not done:
            return
        command = command_with(None)
        again = command if ONLY_MISSING in command else f"{command} {ONLY_MISSING}"
        if not remembered_command():  # a notebook or a server, whose command line began no run
            again = "the same run, with only_missing_outputs"
        error.add_note(f"What the {done} node(s) before it saved is kept. Once this is fixed, go on with:\n{again}")


def _finish(node: Node) -> None:
    seconds, journal, _clock.node = perf_counter() - _clock.started, _clock.journal, None
    if journal is None:
        logger.info("%s: %.1f s", node.name, seconds)
        return
    number = journal.add(NodeTime(node.name, node.outputs, seconds, peak_memory()))
    of = "" if journal.expected is None else f"/{journal.expected}"
    logger.info("%s%s: %.1f s", "" if number is None else f"{number}{of} ", node.name, seconds)
