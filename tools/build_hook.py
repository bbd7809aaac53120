"""Hatch's build hook: a wheel or source archive always holds the built dashboard."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Hatchling loads this file by its path, so the folder has to be made known.
sys.path.insert(0, str(Path(__file__).parent))
import frontend


class DashboardBuildHook(BuildHookInterface[BuilderConfig]):
    """Builds the dashboard when it is missing; an editable install does without it and without Node."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the dashboard unless this is an editable install or it is built already.

        Raises frontend.FrontendError when Node is missing or the build fails.
        """
        root = Path(self.root)
        if version == "editable" or frontend.is_built(root):
            return
        node = frontend.find_system_node()
        if node is None:
            oldest = ".".join(str(number) for number in frontend.OLDEST_NODE)
            raise frontend.FrontendError(
                f"The dashboard is not built, and building it needs Node {oldest} or newer with npm on PATH. "
                "Install Node, or run `make install` first: it fetches one and builds the dashboard."
            )
        frontend.install_packages(root / "frontend", node)
        frontend.build(root, node)
