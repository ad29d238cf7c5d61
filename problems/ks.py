"""Keyword spotting: ``python -m problems.ks run``."""

from __future__ import annotations

from problems.classification import Classification


class KS(Classification):
    """Spots a few keywords; other words are ``_unknown_``, noise is ``_silence_``."""

    summary = "keyword spotting: one of a few words"
    usual_corpus = "toy_keywords"


if __name__ == "__main__":
    from problems.ks import KS as problem  # under its own name, not as __main__

    problem().main()
