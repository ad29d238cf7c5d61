"""Speech out of nothing: utterances made by eSpeak NG, with the times of their words and phones.

``synthesise`` says any :class:`Utterance`; ``voices`` lists voices that differ clearly; ``grammar`` makes
sentences with intents and slots. eSpeak NG is GPL-3: it comes with the optional package espeakng-loader,
never with this one.
"""

from __future__ import annotations

from dataset.espeak.cache import synthesise
from dataset.espeak.utterance import Spoken, Utterance

__all__ = ["Spoken", "Utterance", "synthesise"]
