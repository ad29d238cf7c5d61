"""Sentences for the tests of the synthesiser: pauses, joined words, numerals, and two languages."""

from __future__ import annotations

from dataset.espeak import ToySentence

SENTENCES = [
    ToySentence("a", "put the cup on the table, please"),
    ToySentence("b", "to be or not to be, that is the question", "en-us+f3", rate=140, pitch=60),
    ToySentence("c", "I'm at the café number 22", "en-us+m3", gain_db=-6, noise_db=-50),
    ToySentence("d", "guten morgen liebe leute", "de+f2"),
]
