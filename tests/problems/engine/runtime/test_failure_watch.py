"""A process that fails ends the others, though no agent would: its error reaches them through the store."""

from __future__ import annotations

import pytest

from problems.engine.runtime.errors import ConfigError
from tests.parts.ranks import run_ranks

FAILING = """
from problems.engine.runtime.errors import ConfigError
if distributed.world().rank == {failing}:
    raise ConfigError("broken on purpose")
{waiting}
"""


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("waiting", ["distributed.barrier()", "import time; time.sleep(30)"])
def test_a_failure_reaches_a_process_without_a_common_agent(failing, waiting):
    ranks = run_ranks(FAILING.format(failing=failing, waiting=waiting), seconds=40)
    other = ranks[1 - failing]
    assert other.code == ConfigError.exit_code, other.err
    assert f"rank {1 - failing} exits because rank {failing} failed: ConfigError: broken on purpose" in other.err
