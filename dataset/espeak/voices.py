"""Voices of American English that differ clearly: 20 to train on, 4 to validate on, 8 to test on.

Chosen among the 104 variants of eSpeak NG 1.52, without unnatural voices: whispering, croaking or unvoiced ones,
echoes, robots, the Klatt synthesiser, and any whose file moves one of the first three formants to less than 70 % or
more than 150 % of its frequency. Of the remaining 50, 32 were taken farthest-first from m3. The distance of two voices
is the root mean square, over 40 mel bands (60-8000 Hz), of the difference of their mean log spectra (three sentences,
level removed): all are at least 0.67 apart, while a voice repeated is 0.02 from itself. Among high voices (over 150 Hz)
and among low ones, the farthest are for training, so that they span the space; the others were dealt to test, test,
valid, test (high) and test, test, valid, test, test, valid, test, valid (low).
"""

from __future__ import annotations

LANGUAGE = "en-us"

_TRAIN = (
    "zac belinda steph2 anika grandma shelby f1 Andrea "  # high
    "m3 ian Storm iven2 michel sandro quincy rob ed norbert victor m5"
)
_VALID = "aunty antonio Mario m1"
_TEST = "Nguyen Annie linda Gene2 m8 paul Hugo max"

TRAIN, VALID, TEST = (tuple(f"{LANGUAGE}+{name}" for name in names.split()) for names in (_TRAIN, _VALID, _TEST))
BY_SPLIT = {"train": TRAIN, "valid": VALID, "test": TEST}

# as stated in the variant's own file; the other files state nothing
_FEMALE = "belinda steph2 anika grandma f1 Andrea aunty Annie linda"
_MALE = "m3 Storm michel sandro victor m5 antonio m1 m8 Hugo"


def gender(voice: str) -> str:
    """``f``, ``m``, or an empty string if eSpeak NG does not state it."""
    name = voice.partition("+")[2]
    return "f" if name in _FEMALE.split() else "m" if name in _MALE.split() else ""
