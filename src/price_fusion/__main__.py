"""``price-fusion`` or ``python -m price_fusion``: the same as ``kedro run``, for an installed package."""

import sys
from pathlib import Path

from kedro.framework.cli.project import run
from kedro.framework.project import configure_project

from price_fusion.console.errors import show_own_errors_plainly


def main() -> None:
    """Run pipelines, with the options of ``kedro run``."""
    configure_project(Path(__file__).parent.name)
    show_own_errors_plainly()  # again: where there is no conf/logging.yml, Kedro has put its own tracebacks above ours
    run(prog_name="price-fusion", args=sys.argv[1:])


if __name__ == "__main__":
    main()
