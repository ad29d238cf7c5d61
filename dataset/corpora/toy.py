"""The built-in corpus: sentences of a small grammar, synthesised, so that everything runs offline."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.espeak import Spoken, Utterance, grammar, synthesise, voices
from dataset.setting import setting

# words a minute, and eSpeak NG's scale of pitch, where 50 is the voice's own; training varies more, since its
# few voices must stand for many
RATES = {"train": (120, 190), "valid": (130, 170), "test": (130, 170)}
PITCHES = {"train": (20, 80), "valid": (35, 65), "test": (35, 65)}
GAINS_DB, NOISES_DB = (-12.0, 0.0), (-75.0, -50.0)  # so that levels vary and silence is not digital silence


@dataclasses.dataclass(frozen=True)
class Planned:
    """A row before it is spoken. ``template`` is "trained", "new" (an order of words never trained on) or "list"."""

    utterance: Utterance
    sentence: grammar.Sentence
    template: str


@dataclasses.dataclass
class Toy(Corpus):
    """Household sentences in synthetic voices, with intents and slots.

    Sentences are unique over all splits. The voices of each split are its own. Every other test sentence
    comes from templates that training never uses. The test set depends on ``num_test`` and ``seed`` alone.
    Every third training sentence is a list of words in any order, as reading prompts have them, so that words
    are heard beside others than their templates' own.
    """

    num_train: int = setting(1200, "training sentences (about 2 seconds each)", min=1)
    num_valid: int = setting(120, "validation sentences, in voices held out of training", min=1)
    num_test: int = setting(300, "test sentences, in voices held out of training and validation", min=1)
    seed: int = setting(0, "another seed gives other sentences", min=0)

    def load(self, cache_dir: Path) -> Splits:
        """Make the audio, or find it made; see ``dataset.espeak.synthesise`` for what can go wrong.

        Rows have ``id, wav_path, seconds, transcription, speaker, gender, intent, slots, template``; slots
        are a JSON list of [name, value] in the order spoken.
        """
        plan = self.plan()
        spoken = iter(synthesise([p.utterance for rows in plan.values() for p in rows], cache_dir))
        rows = {split: [_row(p, next(spoken)) for p in planned] for split, planned in plan.items()}
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def plan(self) -> dict[str, list[Planned]]:
        """What will be said in which voice: test, valid and train, in the order in which they are spoken."""
        taken: set[str] = set()
        return {
            "test": self._split("test", self.num_test, voices.TEST, ("trained", "new"), taken),
            "valid": self._split("valid", self.num_valid, voices.VALID, ("trained",), taken),
            "train": self._split("train", self.num_train, voices.TRAIN, ("trained", "trained", "list"), taken),
        }

    def _split(
        self, split: str, count: int, speakers: tuple[str, ...], kinds: tuple[str, ...], taken: set[str]
    ) -> list[Planned]:
        rng = random.Random(f"{self.seed}/{split}")
        makers = {
            "trained": lambda: grammar.sentences(grammar.TEMPLATES, rng),
            "new": lambda: grammar.sentences(grammar.HELD_OUT, rng),
            "list": lambda: grammar.word_lists(rng),
        }
        sources = {kind: makers[kind]() for kind in dict.fromkeys(kinds)}
        speaker = grammar.Deck(speakers, rng)
        planned: list[Planned] = []
        refused = 0
        while len(planned) < count:
            kind = kinds[len(planned) % len(kinds)]
            sentence = next(sources[kind])
            if sentence.text in taken:
                refused += 1
                if refused > 20 * count + 1000:
                    raise CorpusError(
                        f"the toy corpus's grammar has too few sentences for num_{split} {count}: "
                        f"{len(planned)} were found; ask for fewer"
                    )
                continue
            taken.add(sentence.text)
            utterance = Utterance(
                id=f"{split}-{len(planned):05d}",
                text=sentence.text,
                voice=speaker.deal(),
                rate=rng.randint(*RATES[split]),
                pitch=rng.randint(*PITCHES[split]),
                gain_db=round(rng.uniform(*GAINS_DB), 2),
                noise_db=round(rng.uniform(*NOISES_DB), 2),
            )
            planned.append(Planned(utterance, sentence, kind))
        return planned


def _row(planned: Planned, spoken: Spoken) -> Row:
    voice = planned.utterance.voice
    return {
        "id": spoken.id,
        "wav_path": str(spoken.wav_path),
        "seconds": str(spoken.seconds),
        "transcription": planned.sentence.text,
        "speaker": voice,
        "gender": voices.gender(voice),
        "intent": planned.sentence.intent,
        "slots": json.dumps(planned.sentence.slots),
        "template": planned.template,
    }
