"""The toy languages differ in their words."""

from __future__ import annotations

from dataset.espeak import languages


def test_two_languages_share_few_words():
    words = {
        name: {w for part in parts for w in part.replace("|", " ").split()} for name, parts in languages.PARTS.items()
    }
    for a in words:
        for b in words:
            assert a == b or len(words[a] & words[b]) <= 3
