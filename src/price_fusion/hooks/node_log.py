"""What a run says of its nodes: a line for each, with its time; on errors, which node it was and how to go on."""

from __future__ import annotations

import logging
import sys

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from price_fusion.console.errors import NODE_NOTE
from price_fusion.fusion.interruption import command_with
from price_fusion.hooks.node_times import NodeTimes

logger = logging.getLogger(__name__)

ONLY_MISSING = "--only-missing-outputs"


class NodeLogHooks:
    """Says when a node is done and how long it took, loading and saving included; on errors, which node it was."""

    def __init__(self, times: NodeTimes) -> None:
        self._times = times
        self._done = 0
        self._of = ""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, object], pipeline: Pipeline) -> None:
        """Count."""
        self._done = 0
        self._of = "" if run_params.get("only_missing_outputs") else f"/{len(pipeline.nodes)}"

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Start the clock of the node."""
        self._times.start(node.name)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start the clock of a node without inputs."""
        self._times.start(node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """A node without outputs is done."""
        if not node.outputs:
            self._finish(node)

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """A node is done when all that it made is saved."""
        if self._times.saved(node.name) == len(node.outputs):
            self._finish(node)

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Remember which node it was."""
        error.add_note(f"{NODE_NOTE}{node.name}")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Say how to go on with what is done."""
        if not self._done:
            return
        command = command_with(None)
        again = command if ONLY_MISSING in command else f"{command} {ONLY_MISSING}"
        error.add_note(
            f"What the {self._done} node(s) before it saved is kept. Once this is fixed, go on with:\n{again}"
        )

    def _finish(self, node: Node) -> None:
        self._done += 1
        seconds = self._times.finish(node.name, node.outputs, peak_memory())
        logger.info("%d%s %s: %.1f s", self._done, self._of, node.name, seconds)


def peak_memory() -> int | None:
    """Most memory that this process has held, bytes; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
