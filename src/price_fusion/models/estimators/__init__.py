"""Classical models on the same features as the networks: baselines to measure these against, and members beside them."""

from price_fusion.models.estimators.design import Design, fit_design
from price_fusion.models.estimators.estimator import Estimator, FitData, fit_data
from price_fusion.models.estimators.registry import ESTIMATORS, deciding, fit_estimator, load_estimator, refit_estimator

__all__ = [
    "ESTIMATORS",
    "Design",
    "Estimator",
    "FitData",
    "deciding",
    "fit_data",
    "fit_design",
    "fit_estimator",
    "load_estimator",
    "refit_estimator",
]
