"""``price-fusion`` or ``python -m price_fusion``: the same as ``kedro run``, for an installed package."""

import sys
from pathlib import Path

from kedro.framework.project import configure_project

from price_fusion.cli import run


def main() -> None:
    """Run pipelines, with the options of ``kedro run``."""
    configure_project(Path(__file__).parent.name)
    run(prog_name="price-fusion", args=sys.argv[1:])


if __name__ == "__main__":
    main()
