"""Final fits of a model that has been trained again since, found where nothing but their path is known.

The catalog names the evaluated model of a final fit and refuses one that is stale. ``Predictor.load`` has no catalog: it looks
where ``conf/base`` keeps the evaluated model. A server must go on serving, so it is warned and not refused.
"""

from __future__ import annotations

import logging
from pathlib import Path

from price_fusion.data.roles import EVALUATED, TrainedModel, pipeline_of
from price_fusion.errors import CheckpointError
from price_fusion.models.checkpoint import saved_digest
from price_fusion.models.folds import MANIFEST
from price_fusion.storage.digests import digest_of

logger = logging.getLogger(__name__)

_CHECKPOINT = ".safetensors"


def model_digest(path: Path) -> str:
    """What a final fit notes of the model that was evaluated; no weights are read.

    Args:
        path: of its checkpoint file, or the folder of an ensemble or estimator.

    Raises:
        CheckpointError: if a checkpoint is missing or damaged.
        OSError: if a manifest cannot be read.
    """
    return saved_digest(path) if path.suffix == _CHECKPOINT else digest_of(path / MANIFEST)


def evaluated_beside(final: Path) -> Path | None:
    """Where the evaluated model of a final fit is, going by the catalog; None: the final fit is in another place.

    Examples:
        >>> evaluated_beside(Path("06_models/moe/final/checkpoint.safetensors")).as_posix()
        '06_models/moe/checkpoint.safetensors'
        >>> evaluated_beside(Path("06_models/ensemble_final")).as_posix()
        '06_models/ensemble'
    """
    if final.name == "ensemble_final":
        return final.with_name("ensemble")
    if final.parent.name != "final":
        return None
    return final.parent.parent / ("evaluated" if final.name == "model" else final.name)


def warn_if_stale(path: Path, model: TrainedModel) -> None:
    """Warn where the evaluated model beside a final fit is not the one whose training it repeats.

    Args:
        path: of the model.
        model: that was loaded from it; one that is no final fit is never stale.
    """
    noted = model.data.get(EVALUATED)
    # A link may be the way from elsewhere to the catalog's place, or from that place to where files are kept.
    for evaluated in map(evaluated_beside, (path.absolute(), path.resolve())):
        current = _digest_there(evaluated)
        if noted is None or evaluated is None or current in (None, noted):
            continue
        logger.warning(
            "%s: this final fit is stale, as %s has been trained again since: published figures are of that model. Fit it "
            "again (kedro run --pipelines %s, with the --env of its data).",
            path,
            evaluated,
            pipeline_of(model, "predict"),
        )
        return


def _digest_there(evaluated: Path | None) -> str | None:
    """Digest of an evaluated model; None: the final fit was brought here alone, or what is beside it is no model of ours."""
    try:
        return None if evaluated is None else model_digest(evaluated)
    except (CheckpointError, OSError):
        return None
