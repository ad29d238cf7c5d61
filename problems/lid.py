"""Language identification: ``python -m problems.lid run``."""

from __future__ import annotations

from problems.classification import Classification


class LID(Classification):
    """Identifies the language of an utterance."""

    summary = "language identification: the language of an utterance"
    usual_corpus = "toy_languages"


if __name__ == "__main__":
    from problems.lid import LID as problem  # under its own name, not as __main__

    problem().main()
