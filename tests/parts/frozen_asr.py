"""Speech recognition on a frozen upstream with weights, as a program of its own for the tests of features.

``SLOW`` in the environment makes each group take so many seconds, and each a shard. With ``APART``, each process has a
cache of its own, as machines have that share the target folder alone.
"""

from __future__ import annotations

import os
import time

from problems.asr import ASR


class FrozenASR(ASR):
    """CTC on three frozen layers. Its augmentation is off, so that features may be kept."""

    def build_upstream(self, build_upstream):
        from tests.parts.features import Convolution

        return Convolution()


def slow_down(seconds: float) -> None:
    """Small groups, each slow and kept at once: something to kill."""
    from problems.engine.features import extraction

    plain = extraction.Encoder.__call__

    def call(self, wav, wav_len):
        time.sleep(seconds)
        return plain(self, wav, wav_len)

    extraction.Encoder.__call__ = call
    extraction.PORTION_BYTES, extraction.GROUP_SECONDS = 1, {"cpu": 1.0}


def set_apart() -> None:
    """A cache for each process."""
    from problems.engine.features import cache

    plain = cache.cache_folder
    cache.cache_folder = lambda config: plain(config) / os.environ.get("RANK", "")


if __name__ == "__main__":
    from tests.parts.frozen_asr import FrozenASR as problem  # under its own name, not as __main__

    if "SLOW" in os.environ:
        slow_down(float(os.environ["SLOW"]))
    if "APART" in os.environ:
        set_apart()
    problem().main()
