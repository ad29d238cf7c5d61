"""A small grammar of household sentences, each with an intent and its slots.

Templates consist of words and ``{slot}`` marks; the value of a slot may be a phrase. ``HELD_OUT`` templates have the
words of the training templates in orders that are not in training.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

SLOTS: dict[str, tuple[str, ...]] = {
    "room": ("kitchen", "bedroom", "bathroom", "garden", "garage", "office", "hallway", "cellar", "attic"),
    "device": ("light", "lamp", "heater", "radio", "fan", "oven", "kettle", "camera", "television"),
    "color": ("red", "blue", "green", "yellow", "white", "orange", "purple", "black"),
    "number": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twenty"),
    "unit": ("cups", "bags", "boxes", "bottles", "kilos", "slices"),
    "food": (
        "bread",
        "rice",
        "sugar",
        "cheese",
        "pasta",
        "butter",
        "apples",
        "carrots",
        "potatoes",
        "onions",
    ),
    "dish": ("soup", "salad", "chicken", "fish", "pancakes", "noodles"),
    "city": ("london", "paris", "berlin", "madrid", "rome", "dublin", "oslo", "vienna", "lisbon", "cairo"),
    "vehicle": ("train", "bus", "plane", "taxi", "boat"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "date": ("today", "tomorrow", "tonight"),
    "person": (
        "anna",
        "peter",
        "maria",
        "thomas",
        "sophie",
        "lucas",
        "emma",
        "oliver",
        "my mother",
        "my brother",
    ),
    "time": (
        "noon",
        "midnight",
        "half past nine",
        "quarter to six",
        "eight",
        "ten",
        "five",
        "seven",
    ),
    "object": ("key", "book", "phone", "cup", "coat", "hat", "bottle", "letter", "hammer", "ticket"),
    "place": ("table", "chair", "shelf", "drawer", "floor", "window", "sofa", "piano"),
    "relation": ("on", "under", "behind", "near"),
    "weather": ("rain", "snow", "sun", "wind", "fog"),
    "music": ("jazz", "rock", "opera", "folk"),
    "duration": ("ten minutes", "twenty minutes", "two hours", "three hours", "half an hour"),
    "speed": ("slow", "fast", "cheap", "early", "late"),
}

TEMPLATES: dict[str, tuple[str, ...]] = {
    "switch_on": (
        "turn on the {device} in the {room}",
        "please switch on the {color} {device}",
        "i want the {room} {device} on",
        "the {room} {device} should be on by {time}",
        "{person} wants the {color} {device} on",
    ),
    "switch_off": (
        "turn off the {device} in the {room}",
        "switch the {color} {device} off",
        "the {device} must be off by {time}",
        "off with the {color} {device}",
        "turn my {device} off at {time}",
    ),
    "put_object": (
        "put the {color} {object} {relation} the {place}",
        "leave my {object} {relation} the {place}",
        "please bring the {object} to {person}",
        "in the {room} there is a {object}",
        "bring me {number} {color} bottles",
    ),
    "find_object": (
        "where is the {color} {object} of {person}",
        "is my {object} {relation} the {place}",
        "find the {object} in the {room}",
        "{person} must find the {color} {object}",
        "what is {relation} the {place} in the {room}",
    ),
    "book_trip": (
        "book a {speed} {vehicle} to {city} for {person}",
        "i need {number} tickets from {city} to {city}",
        "we go to {city} by {vehicle} {date}",
        "on {day} {person} takes the {vehicle} to {city}",
        "for {number} people a {vehicle} from {city}",
    ),
    "ask_departure": (
        "when does the {speed} {vehicle} to {city} leave",
        "how long does the {vehicle} to {city} take",
        "is there a {vehicle} from {city} at {time}",
        "does the {vehicle} leave at {time} on {day}",
        "from {city} how {speed} is the {vehicle}",
    ),
    "ask_weather": (
        "will we have {weather} in {city} on {day}",
        "how much {weather} does {city} get in winter",
        "what is the weather like in {city} {date}",
        "does {city} get some {weather} on {day}",
        "{date} there is much {weather} in {city}",
    ),
    "shopping": (
        "buy {number} {unit} of {food}",
        "add {food} and {food} to the list",
        "we need {number} {unit} for the {dish}",
        "{person} needs {food} and {number} {unit} of {food}",
        "how much {food} do we have",
    ),
    "cooking": (
        "cook the {dish} for {duration}",
        "mix {number} {unit} of {food} with the {food}",
        "how do i make {dish} with {food}",
        "with the {food} make some {dish}",
        "after {duration} add {number} {unit} of {food}",
    ),
    "call": (
        "call {person} at {time}",
        "send a message to {person} about the {dish}",
        "tell {person} that we leave on {day}",
        "send {person} a message about {city}",
        "on {day} tell {person} to call me",
    ),
    "reminder": (
        "remind me to call {person} in {duration}",
        "wake me up at {time} on {day}",
        "set an alarm for {time} in the {room}",
        "in {duration} wake {person}",
        "remind me about the {dish} at {time}",
    ),
    "play_music": (
        "play some {music} in the {room}",
        "play {music} for {person} until {time}",
        "stop the {music} after {duration}",
        "after {time} play {person} some {music}",
        "i like {music} in the {room} {date}",
    ),
}

HELD_OUT: dict[str, tuple[str, ...]] = {
    "switch_on": ("in the {room} turn the {color} {device} on", "by {time} switch on my {device} please"),
    "switch_off": ("i want the {color} {device} of {person} off", "please turn the {room} {device} off"),
    "put_object": (
        "{relation} the {place} leave a {color} {object}",
        "bring {number} bottles to the {room} please",
    ),
    "find_object": (
        "is the {object} of {person} in the {room}",
        "{person} wants to find my {color} {object}",
    ),
    "book_trip": (
        "for {person} book the {vehicle} from {city} {date}",
        "on {day} we take a {speed} {vehicle} to {city}",
    ),
    "ask_departure": (
        "at {time} does a {vehicle} leave {city}",
        "how {speed} is the {vehicle} from {city}",
    ),
    "ask_weather": ("is there some {weather} {date} in {city}", "in winter does {city} have much {weather}"),
    "shopping": (
        "{person} must buy {number} {unit} of {food}",
        "how much {food} does {person} need",
    ),
    "cooking": (
        "with {number} {unit} of {food} make the {dish}",
        "after {duration} mix the {food} and the {dish}",
    ),
    "call": ("call {person} about the {city} {vehicle}", "at {time} tell {person} about the {dish}"),
    "reminder": ("in {duration} remind {person} to call", "set the {room} alarm for {time}"),
    "play_music": ("after {duration} play the {music} in {city}", "{person} will like some {music} {date}"),
}


@dataclass(frozen=True)
class Sentence:
    """Lower-case words with single spaces; ``slots`` are (name, value) in the order spoken."""

    text: str
    intent: str
    slots: tuple[tuple[str, str], ...]


class Deck:
    """Deals items in random order, each once a round, so that all occur about equally often."""

    def __init__(self, items: tuple, rng: random.Random) -> None:
        self.items, self.rng, self.remaining = items, rng, []

    def deal(self) -> object:
        """The next item."""
        if not self.remaining:
            self.remaining = list(self.items)
            self.rng.shuffle(self.remaining)
        return self.remaining.pop()


def sentences(templates: dict[str, tuple[str, ...]], rng: random.Random) -> Iterator[Sentence]:
    """Draw sentences without end, evenly over templates and slot values. Sentences may repeat."""
    pairs = tuple((intent, template) for intent, group in templates.items() for template in group)
    choose = Deck(pairs, rng)
    decks = {name: Deck(values, rng) for name, values in SLOTS.items()}
    while True:
        intent, template = choose.deal()
        slots: list[tuple[str, str]] = []

        def fill(match: re.Match, slots: list = slots) -> str:
            value = decks[match[1]].deal()
            if (match[1], value) in slots:  # "from oslo to oslo"
                value = decks[match[1]].deal()
            slots.append((match[1], value))
            return value

        text = re.sub(r"\{(\w+)\}", fill, template)
        yield Sentence(text, intent, tuple(slots))


def word_lists(rng: random.Random, shortest: int = 4, longest: int = 8) -> Iterator[Sentence]:
    """Draw lists of words of the vocabulary without end, all words about equally often."""
    words = Deck(tuple(vocabulary()), rng)
    while True:
        text = " ".join(str(words.deal()) for _ in range(rng.randint(shortest, longest)))
        yield Sentence(text, "word_list", ())


def vocabulary() -> list[str]:
    """Every word of the training templates and slots, sorted."""
    words = {word for values in SLOTS.values() for value in values for word in value.split()}
    for group in TEMPLATES.values():
        for template in group:
            words.update(word for word in template.split() if not word.startswith("{"))
    return sorted(words)
