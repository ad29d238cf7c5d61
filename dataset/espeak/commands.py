"""Spoken commands with three slots (action, object, place), each in several wordings."""

from __future__ import annotations

import random
from dataclasses import dataclass

NONE = "none"  # the value of a slot that a command does not mention
PLACES = ("kitchen", "bedroom", "washroom", NONE)

# (action, object) -> wordings; {place} stands for a place or for nothing
COMMANDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("activate", "lights"): ("turn on the lights{place}", "switch the lights on{place}", "lights on{place} please"),
    ("deactivate", "lights"): ("turn off the lights{place}", "switch the lights off{place}", "no more lights{place}"),
    ("activate", "radio"): ("turn on the radio{place}", "play the radio{place}", "i want to hear the radio{place}"),
    ("deactivate", "radio"): ("turn off the radio{place}", "stop the radio{place}", "be quiet radio{place}"),
    ("increase", "heat"): ("turn up the heat{place}", "make it warmer{place}", "it is too cold{place}"),
    ("decrease", "heat"): ("turn down the heat{place}", "make it cooler{place}", "it is too hot{place}"),
    ("increase", "volume"): ("turn up the volume", "make it louder", "i cannot hear that"),
    ("decrease", "volume"): ("turn down the volume", "make it softer", "that is too loud"),
    ("bring", "newspaper"): ("bring me the newspaper", "get my newspaper", "i need the newspaper"),
    ("bring", "shoes"): ("bring me my shoes", "get the shoes", "i need my shoes"),
}


@dataclass(frozen=True)
class Command:
    """A sentence with the values of its slots."""

    text: str
    action: str
    object: str
    location: str


def draw_command(rng: random.Random) -> Command:
    """Draw a command, evenly over actions with their objects, then over wordings and places."""
    action, object_ = rng.choice(sorted(COMMANDS))
    wording = rng.choice(COMMANDS[action, object_])
    place = rng.choice(PLACES) if "{place}" in wording else NONE
    return Command(wording.format(place="" if place == NONE else f" in the {place}"), action, object_, place)
