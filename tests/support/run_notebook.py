"""Run a notebook in a kernel of this interpreter, whatever kernels are installed, and write it with its outputs.

python run_notebook.py NOTEBOOK FOLDER OUTPUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient


class OwnKernel(KernelManager):
    """A kernel of this interpreter."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="own", language="python")


def main(notebook: str, folder: str, output: str) -> None:
    read = nbformat.read(notebook, as_version=4)
    NotebookClient(read, km=OwnKernel(), timeout=120, resources={"metadata": {"path": folder}}).execute()
    Path(output).write_text(nbformat.writes(read), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
