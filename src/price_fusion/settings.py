"""Kedro's project settings."""

import os

from price_fusion.configuration.loader import CONF_VARIABLE
from price_fusion.configuration.turn_taking import TurnTakingConfigLoader
from price_fusion.console.errors import show_own_errors_plainly
from price_fusion.console.log import take_over_console
from price_fusion.console.output import outlast_readers
from price_fusion.errors import ParameterError
from price_fusion.hooks.active_runs import ActiveRuns, RunHooks
from price_fusion.hooks.current_project import ParameterHooks
from price_fusion.hooks.derived_inputs import DerivedInputsHooks
from price_fusion.hooks.input_report import InputReportHooks
from price_fusion.hooks.made_from import MadeFromHooks
from price_fusion.hooks.mlflow_tracking import MlflowHooks
from price_fusion.hooks.node_log import NodeLogHooks
from price_fusion.hooks.stale_leaderboard import StaleLeaderboardHooks
from price_fusion.hooks.summary import SummaryHooks


def required_environment_variable(name: str) -> str:
    """The value of an environment variable that a configuration cannot do without (``${env:NAME}`` in YAML).

    Raises:
        ParameterError: if it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise ParameterError(
            f"the environment variable {name} is not set, and conf/ refers to it as ${{env:{name}}}. "
            f"Set it to the folder meant there, for example: export {name}=/path/to/folder"
        )
    return value


outlast_readers()
show_own_errors_plainly()
take_over_console()

_runs = ActiveRuns()
HOOKS = (
    ParameterHooks(),
    DerivedInputsHooks(),
    RunHooks(_runs),
    NodeLogHooks(),
    SummaryHooks(),
    MlflowHooks(_runs),
    InputReportHooks(),
    MadeFromHooks(),
    StaleLeaderboardHooks(),
)

CONF_SOURCE = os.environ.get(CONF_VARIABLE, "conf")
CONFIG_LOADER_CLASS = TurnTakingConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"env": required_environment_variable},
}
