"""Some sentences and their recordings, synthesised once."""

from __future__ import annotations

import pytest

from dataset.espeak import ToySentence, synthesise

SENTENCES = [
    ToySentence("a", "put the cup on the table, please"),
    ToySentence("b", "to be or not to be, that is the question", "en-us+f3", rate=140, pitch=60),
    ToySentence("c", "I'm at the café number 22", "en-us+m3", gain_db=-6, noise_db=-50),
    ToySentence("d", "guten morgen liebe leute", "de+f2"),
]


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """The cache and the recordings of ``SENTENCES``."""
    pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra [toy]) is not installed")
    folder = tmp_path_factory.mktemp("cache")
    return folder, synthesise(SENTENCES, folder)
