"""Errors of collectives are explained if another process is gone; whole runs are in ``test_failure_watch.py``."""

from __future__ import annotations

import pytest
from torch.distributed import DistBackendError

from problems.engine.runtime.peers.lost_peer import lost_peer

NCCL = "NCCL error in: NCCLUtils.hpp:268, {}, NCCL version 2.21.5\n{}: long.\nLast error:\n{}"
GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:22915"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RuntimeError(GLOO), "Connection closed by peer [127.0.0.1]:22915"),
        (
            DistBackendError(NCCL.format("remote process exited", "ncclRemoteError", "Connection closed")),
            "Connection cl",
        ),
        (DistBackendError(), "DistBackendError"),
    ],
)
def test_a_lost_process_is_named_with_the_cause(error, cause):
    message = str(lost_peer(error, 1))
    assert message.startswith("rank 1 has lost another process of the run") and f"reached ({cause}" in message


def test_other_errors_stay_as_they_are():
    shared = NCCL.format("invalid usage", "ncclInvalidUsage", "Duplicate GPU detected : rank 1 and rank 0")
    assert lost_peer(DistBackendError(shared), 1) is None
    assert lost_peer(RuntimeError("CUDA out of memory"), 1) is None
