"""Words and phones are aligned by the order of events."""

from __future__ import annotations

import pytest

from dataset.espeak.alignment import align


def test_words_pronounced_as_one_share_their_phones():
    phones = [("k", 0), ("ɪ", 10), ("n", 20), ("ð", 30), ("ə", 40), ("ˈæ", 50), ("", 70)]
    words, _ = align("k in the attic", [(0, 0, 0), (2, 8, 1), (9, 50, 5)], phones, 80)
    assert words == [(0, 10, "k"), (10, 30, "in"), (30, 50, "the"), (50, 70, "attic")]
    words, spans = align("a tea", [(0, 0, 0), (2, 8, 1)], [("ə", 0), ("t", 12), ("iː", 16)], 20)
    assert words == [(0, 8, "a"), (8, 20, "tea")] and spans[1] == (8, 16, "t")  # with the closure
    with pytest.raises(ValueError, match="'of it'.*too few sounds"):
        align("of it", [(0, 0, 0)], [("ə", 0)], 20)
