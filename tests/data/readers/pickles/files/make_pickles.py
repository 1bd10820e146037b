"""Write small pickles with the installed versions of pandas, numpy and, where there is one, torch.

Run it once in an environment of each version that is to be supported::

    python tests/data/readers/pickles/make_pickles.py

The numbers are those that ``test_process.py`` expects. A file's name says what it holds and what wrote it.
"""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
IDS = [30, 10, 20]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def frames() -> dict[str, pd.DataFrame]:
    """The layouts of frames that can be read."""
    wide = pd.DataFrame(VECTORS, columns=["d0", "d1"])
    return {
        "arrays": pd.DataFrame({"sample_id": IDS, "embedding": list(VECTORS)}),
        "lists": pd.DataFrame({"sample_id": IDS, "name": ["a", "b", "c"], "embedding": VECTORS.tolist()}),
        "columns": wide.assign(sample_id=IDS),
        "index": wide.set_axis(pd.Index(IDS, name="sample_id")),
        "numbered": pd.DataFrame(VECTORS, index=IDS),
    }


def write(name: str, content: object, protocol: int) -> None:
    """Pickle ``content`` as the file ``name``."""
    (FOLDER / f"{name}.pkl").write_bytes(pickle.dumps(content, protocol))


def main() -> None:
    """Write all that these versions can."""
    for layout, frame in frames().items():
        write(f"frame-{layout}-pandas-{pd.__version__}-numpy-{np.__version__}", frame, 4 if layout == "lists" else 5)
    write(f"arrays-numpy-{np.__version__}", {"embeddings": VECTORS, "sample_ids": np.array(IDS)}, 4)
    if importlib.util.find_spec("torch"):
        import torch

        content = {"embeddings": torch.from_numpy(VECTORS), "sample_ids": [torch.tensor(number) for number in IDS]}
        write(f"tensors-torch-{torch.__version__.split('+')[0]}", content, 4)


if __name__ == "__main__":
    main()
