"""Speaker identification: ``python -m problems.sid run``."""

from __future__ import annotations

from problems.classification import Classification


class SID(Classification):
    """Identifies the speaker of an utterance among those of the training set."""

    summary = "speaker identification: the speaker of an utterance, among those of the training set"
    usual_corpus = "toy_speakers"


if __name__ == "__main__":
    from problems.sid import SID as problem  # under its own name, not as __main__

    problem().main()
