"""Speech synthesis with eSpeak NG, with the times of words and phones.

``synthesise`` speaks any :class:`ToySentence`; ``voices`` lists voices that differ clearly; ``grammar`` draws sentences
with intents and slots. eSpeak NG is GPL-3: it comes with the optional package espeakng-loader, never with this one.
"""

from __future__ import annotations

from dataset.espeak.cache import folder_of, synthesise
from dataset.espeak.sentence import Spoken, ToySentence

__all__ = ["Spoken", "ToySentence", "folder_of", "synthesise"]
