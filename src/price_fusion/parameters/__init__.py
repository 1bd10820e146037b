"""What ``conf/`` may say: frozen, typed, and free of torch.

Every model forbids unknown fields, so that a misspelt key stops a run before its first node. ``ProjectParameters`` is
the whole of ``parameters.yml``; the other classes are the parts of it that single nodes ask for.
"""

from price_fusion.parameters.compute import ComputeParameters
from price_fusion.parameters.data import (
    CheckParameters,
    ColumnSourceParameters,
    FabricationKind,
    FabricationParameters,
    IngestionParameters,
    Source,
    SourceParameters,
    SplittingParameters,
)
from price_fusion.parameters.evaluation import (
    ESTIMATOR_KINDS,
    AblationParameters,
    ComparisonParameters,
    CrossValidationParameters,
    EnsembleParameters,
    EnsemblePreset,
    EstimatorKind,
    InferenceParameters,
    IntervalParameters,
    PriceGroupParameters,
)
from price_fusion.parameters.leaks import LeakParameters
from price_fusion.parameters.models import (
    AttentionFusion,
    BranchParameters,
    ConcatFusion,
    FusionParameters,
    HierarchicalFusion,
    MixtureHead,
    MlpHead,
    ModelParameters,
)
from price_fusion.parameters.project import (
    ProjectParameters,
    VariantParameters,
    parse_project_parameters,
)
from price_fusion.parameters.reports import ModelCardParameters, ReportParameters
from price_fusion.parameters.tracking import TrackingParameters
from price_fusion.parameters.training import LossName, ResolvedTrainParameters, TrainParameters
from price_fusion.parameters.tuning import Dimension, TuningParameters

__all__ = [
    "ESTIMATOR_KINDS",
    "AblationParameters",
    "AttentionFusion",
    "BranchParameters",
    "CheckParameters",
    "ColumnSourceParameters",
    "ComparisonParameters",
    "ComputeParameters",
    "ConcatFusion",
    "CrossValidationParameters",
    "Dimension",
    "EnsembleParameters",
    "EnsemblePreset",
    "EstimatorKind",
    "FabricationKind",
    "FabricationParameters",
    "FusionParameters",
    "HierarchicalFusion",
    "InferenceParameters",
    "IngestionParameters",
    "IntervalParameters",
    "LeakParameters",
    "LossName",
    "MixtureHead",
    "MlpHead",
    "ModelCardParameters",
    "ModelParameters",
    "PriceGroupParameters",
    "ProjectParameters",
    "ReportParameters",
    "ResolvedTrainParameters",
    "Source",
    "SourceParameters",
    "SplittingParameters",
    "TrackingParameters",
    "TrainParameters",
    "TuningParameters",
    "VariantParameters",
    "parse_project_parameters",
]
