"""Intent classification: ``python -m problems.ic run``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataset.setting import setting
from problems.classification import Classification


@dataclass
class BuildEncoder:
    """Stage 1: from labels to numbers."""

    slots: list[str] | None = setting(None, "names of the parts of a label, for their results; null: slot1, slot2, ...")


class IC(Classification):
    """Recognises the value of each slot of an intent (an action, an object, a place), written ``a ; b ; c``.

    An utterance is correct if all its slots are.
    """

    summary = "intent classification: one or more slots per utterance"
    usual_corpus = "toy_commands"
    sections: dict[str, Any] = Classification.sections | {"build_encoder": BuildEncoder}
    columns = ("labels",)
    encoder = "categories"


if __name__ == "__main__":
    from problems.ic import IC as problem  # under its own name, not as __main__

    problem().main()
