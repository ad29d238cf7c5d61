"""A program for the tests of features: speech recognition on a frozen upstream with weights.

``SLOW`` in the environment delays each group by that many seconds and writes a shard for each. With ``APART``, each
process has its own cache, like machines that share only the target folder.
"""

from __future__ import annotations

import os
import time

from problems.asr import ASR


class FrozenASR(ASR):
    """CTC on three frozen layers."""

    def build_upstream(self, build_upstream):
        from tests.parts.features import Convolution

        return Convolution()


def slow_down(seconds: float) -> None:
    """Compute small groups slowly and store each at once, so that there is time for a kill."""
    from problems.engine.features import extraction

    plain = extraction.FeatureExtractor.__call__

    def call(self, wav, wav_len):
        time.sleep(seconds)
        return plain(self, wav, wav_len)

    extraction.FeatureExtractor.__call__ = call
    extraction.PORTION_BYTES, extraction.GROUP_SECONDS = 1, {"cpu": 1.0}


def set_apart() -> None:
    """Give each process its own cache."""
    from problems.engine.features import policy

    plain = policy.cache_folder
    policy.cache_folder = lambda config: plain(config) / os.environ.get("RANK", "")


if __name__ == "__main__":
    from tests.parts.frozen_asr import FrozenASR as problem  # under its own name, not as __main__

    if "SLOW" in os.environ:
        slow_down(float(os.environ["SLOW"]))
    if "APART" in os.environ:
        set_apart()
    problem().main()
