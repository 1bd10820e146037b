"""Product prices from stored embeddings of images and texts."""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from price_fusion.version import __version__

if TYPE_CHECKING:
    from price_fusion.prediction.predictor import Predictor

__all__ = ["Predictor", "__version__"]

# torch's threads wait for each other by spinning. Where another process wants one of the cores, they then wait for a
# thread that cannot run, and training takes many times as long (docs/decisions/0004-waiting-threads.md). Read by the
# OpenMP runtime when torch is imported, which is after this; values that the user has set stay.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if sys.platform == "linux" and "torch" in sys.modules and os.environ.get("OMP_NUM_THREADS") != "1":
        warnings.warn(
            "torch was imported before price_fusion, so its threads spin while they wait. Beside other processes, training "
            "and large batches then take many times as long. Import price_fusion first, or set OMP_WAIT_POLICY=PASSIVE and "
            "GOMP_SPINCOUNT=3000 in the environment.",
            RuntimeWarning,
            stacklevel=2,
        )


def __getattr__(name: str) -> Any:
    """Import ``Predictor``, and with it torch, only when asked for."""
    if name == "Predictor":
        from price_fusion.prediction.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
