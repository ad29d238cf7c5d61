"""Speaker identification: ``python -m problems.sid run``."""

from __future__ import annotations

from problems.classification import Classification


class SID(Classification):
    """Which of the speakers of the training set an utterance is from."""

    summary = "speaker identification: which of the known speakers an utterance is from"
    usual_corpus = "toy_speakers"


if __name__ == "__main__":
    from problems.sid import SID as problem  # under its own name, not as __main__

    problem().main()
