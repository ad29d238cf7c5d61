"""Toy corpus for speech recognition: household sentences in synthetic voices, with intents and slots."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.espeak import Spoken, ToySentence, folder_of, grammar, synthesise, voices
from dataset.setting import setting

# words a minute, and eSpeak NG's scale of pitch, on which 50 is the voice's own; they vary more in training, where few
# voices must represent many
RATES = {"train": (120, 190), "valid": (130, 170), "test": (130, 170)}
PITCHES = {"train": (20, 80), "valid": (35, 65), "test": (35, 65)}
GAINS_DB, NOISES_DB = (-12.0, 0.0), (-75.0, -50.0)  # so that levels vary and silence is not digital silence


@dataclasses.dataclass(frozen=True)
class Planned:
    """A sentence before it is synthesised. ``template`` is "trained", "new" (not in training) or "list" (of words)."""

    sentence: ToySentence
    meaning: grammar.Sentence
    template: str


@dataclasses.dataclass
class Toy(Corpus):
    """Household sentences in synthetic voices, with intents and slots.

    Sentences are unique over all splits, and each split has its own voices. Every other test sentence comes from
    templates that are not in training. The test set depends only on ``num_test`` and ``seed``. Every third training
    sentence is a list of words in any order, so that words occur beside others than those of their templates.
    """

    num_train: int = setting(1200, "training sentences (about 2 seconds each)", min=1)
    num_valid: int = setting(120, "validation sentences, in voices held out of training", min=1)
    num_test: int = setting(300, "test sentences, in voices held out of training and validation", min=1)
    seed: int = setting(0, "another seed gives other sentences", min=0)

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folder of these sentences."""
        return [folder_of([planned.sentence for split in self.plan().values() for planned in split], cache_dir)]

    def load(self, cache_dir: Path) -> Splits:
        """Synthesise the audio, or find it in ``cache_dir``, as :func:`dataset.espeak.synthesise` does.

        Rows have ``id, wav_path, seconds, transcription, speaker, gender, intent, slots, template``; slots are a JSON
        list of [name, value] in the order spoken.
        """
        plan = self.plan()
        spoken = iter(synthesise([planned.sentence for split in plan.values() for planned in split], cache_dir))
        rows = {name: [self._row(planned, next(spoken)) for planned in split] for name, split in plan.items()}
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def plan(self) -> dict[str, list[Planned]]:
        """The sentences of test, valid and train, in the order in which they are synthesised."""
        taken: set[str] = set()
        return {
            "test": self._split("test", self.num_test, speakers=voices.TEST, kinds=("trained", "new"), taken=taken),
            "valid": self._split("valid", self.num_valid, speakers=voices.VALID, kinds=("trained",), taken=taken),
            "train": self._split(
                "train", self.num_train, speakers=voices.TRAIN, kinds=("trained", "trained", "list"), taken=taken
            ),
        }

    def _split(
        self, split: str, count: int, *, speakers: tuple[str, ...], kinds: tuple[str, ...], taken: set[str]
    ) -> list[Planned]:
        rng = random.Random(f"{self.seed}/{split}")
        generators = {
            "trained": lambda: grammar.sentences(grammar.TEMPLATES, rng),
            "new": lambda: grammar.sentences(grammar.HELD_OUT, rng),
            "list": lambda: grammar.word_lists(rng),
        }
        sources = {kind: generators[kind]() for kind in dict.fromkeys(kinds)}
        speaker = grammar.Deck(speakers, rng)
        planned: list[Planned] = []
        repeats = 0
        while len(planned) < count:
            kind = kinds[len(planned) % len(kinds)]
            meaning = next(sources[kind])
            if meaning.text in taken:
                repeats += 1
                if repeats > 20 * count + 1000:
                    raise CorpusError(
                        f"the grammar of the toy corpus has too few sentences for num_{split}={count}: it gave "
                        f"{len(planned)}; set num_{split} to less"
                    )
                continue
            taken.add(meaning.text)
            sentence = ToySentence(
                id=f"{split}-{len(planned):05d}",
                text=meaning.text,
                voice=speaker.deal(),
                rate=rng.randint(*RATES[split]),
                pitch=rng.randint(*PITCHES[split]),
                gain_db=round(rng.uniform(*GAINS_DB), 2),
                noise_db=round(rng.uniform(*NOISES_DB), 2),
            )
            planned.append(Planned(sentence, meaning, kind))
        return planned

    def _row(self, planned: Planned, spoken: Spoken) -> Row:
        voice = planned.sentence.voice
        return {
            "id": spoken.id,
            "wav_path": str(spoken.wav_path),
            "seconds": str(spoken.seconds),
            "transcription": planned.meaning.text,
            "speaker": voice,
            "gender": voices.gender(voice),
            "intent": planned.meaning.intent,
            "slots": json.dumps(planned.meaning.slots),
            "template": planned.template,
        }
