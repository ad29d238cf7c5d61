"""``config``: the resolved config as YAML."""

from __future__ import annotations

from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.config import yaml_text
from problems.engine.config.schema import Configurable


def show_config(problem: Configurable, arguments: Arguments) -> int:
    """Print the config of the command line, to edit and pass back with ``--config``."""
    config = resolve_config(problem, arguments.configs, arguments.overrides, to_edit=True)
    print(yaml_text.dump(config), end="")
    return 0
