"""The explanation of what a collective raises if another process of the run is gone."""

from __future__ import annotations

from problems.engine.runtime.errors import PeerError

OWN_FAULTS = ("ncclInvalidUsage", "ncclInvalidArgument", "ncclUnhandledCudaError", "ncclInternalError")
"""NCCL's names of errors that are this process's own, such as a GPU that two processes share."""


def lost_peer(error: BaseException, rank: int) -> PeerError | None:
    """The explanation of an error in the process ``rank``; None for one that no lost process has caused."""
    from torch.distributed import DistBackendError, DistNetworkError

    text = str(error).strip() or type(error).__name__
    is_of_peers = isinstance(error, (DistBackendError, DistNetworkError)) or "gloo/transport" in text
    if not is_of_peers or any(name in text for name in OWN_FAULTS):
        return None
    # the first line of gloo ends with the reason; the last line of NCCL is the reason
    cause = text.splitlines()[0].rpartition("] ")[2] if "gloo" in text else text.splitlines()[-1]
    return PeerError(
        f"rank {rank} has lost another process of the run, which has died or cannot be reached ({cause});"
        " run the same command to continue"
    )
