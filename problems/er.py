"""Emotion recognition: ``python -m problems.er run``."""

from __future__ import annotations

from problems.classification import Classification


class ER(Classification):
    """Recognises the emotion of an utterance."""

    summary = "emotion recognition: the emotion of an utterance"
    usual_corpus = "toy_moods"


if __name__ == "__main__":
    from problems.er import ER as problem  # under its own name, not as __main__

    problem().main()
