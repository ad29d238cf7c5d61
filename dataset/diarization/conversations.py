"""Simulate conversations: utterances of several speakers one after another, with pauses and overlaps, in one file.

As LibriMix does (Cosentino et al., "LibriMix: an open-source dataset for generalizable speech separation", 2020): all
that is random is drawn first, into a list, and then rendered, so that the same settings give the same bytes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset import SAMPLE_RATE
from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.made_audio import write_wav
from dataset.diarization.turns import Turn


@dataclass(frozen=True)
class Utterance:
    """An utterance of a speaker: a file, or a part of one from ``start`` to ``end`` seconds."""

    wav_path: str
    speaker: str
    seconds: float
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Placed:
    """An utterance that begins at ``offset`` seconds, at ``gain_db`` and at another speed."""

    utterance: Utterance
    offset: float
    gain_db: float
    speed: float = 1.0

    @property
    def end(self) -> float:
        """In seconds of the conversation."""
        return self.offset + self.utterance.seconds / self.speed


@dataclass(frozen=True)
class Conversation:
    """The utterances and the noise of one file.

    Args:
        noise: a file, the level of the speech above it in dB, and the share of the file at which it begins.
        rooms: the file of an impulse response by speaker.
    """

    id: str
    parts: tuple[Placed, ...]
    noise: tuple[str, float, float] | None = None
    rooms: dict[str, str] | None = None

    @property
    def turns(self) -> list[Turn]:
        """The turns of all speakers."""
        return sorted(Turn(part.offset, part.end, part.utterance.speaker) for part in self.parts)

    @property
    def seconds(self) -> float:
        """Of the file."""
        return max(part.end for part in self.parts)


@dataclass(frozen=True)
class Style:
    """Settings of conversations, as ranges to draw from.

    Args:
        speakers: least and most of a conversation.
        utterances: least and most of a speaker.
        overlap_prob: how often an utterance begins before the last one ends.
        overlap: least and greatest share of the shorter of the two that then overlaps.
        pause: least and greatest pause otherwise, in seconds.
        levels: least and greatest gain of a speaker, in dB.
        noises: files of noise; none: no noise.
        snr: least and greatest level of the speech above it, in dB.
        rooms: files of impulse responses, one for each speaker; none: no reverberation.
        speeds: of a speaker, one is drawn for each conversation: a voice at another speed is another voice.
    """

    speakers: tuple[int, int] = (2, 2)
    utterances: tuple[int, int] = (1, 3)
    overlap_prob: float = 0.5
    overlap: tuple[float, float] = (0.1, 0.5)
    pause: tuple[float, float] = (0.1, 1.0)
    levels: tuple[float, float] = (-5.0, 0.0)
    noises: tuple[str, ...] = ()
    snr: tuple[float, float] = (10.0, 25.0)
    rooms: tuple[str, ...] = ()
    speeds: tuple[float, ...] = (1.0,)


def draw(utterances: Sequence[Utterance], number: int, style: Style, name: str, seed: int) -> list[Conversation]:
    """Draw conversations. Each utterance is used before one is used again.

    Args:
        name: of the set; ids begin with it.

    Raises:
        CorpusError: there are too few speakers.
    """
    rng = random.Random(f"conversations/{seed}/{name}")
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    if len(by_speaker) < style.speakers[1]:
        raise CorpusError(
            f"the {name} set has utterances of {len(by_speaker)} speakers, and conversations have up to"
            f" {style.speakers[1]}: lower speakers, or give more speakers"
        )
    decks = {speaker: _Deck(own, rng) for speaker, own in sorted(by_speaker.items())}
    conversations = []
    for place in range(number):
        present = rng.sample(sorted(decks), rng.randint(*style.speakers))
        counts = {speaker: rng.randint(*style.utterances) for speaker in present}
        parts = _place(_order(counts, rng), decks, style, rng)
        noise = None
        if style.noises:
            noise = (rng.choice(style.noises), round(rng.uniform(*style.snr), 2), round(rng.random(), 4))
        rooms = {speaker: rng.choice(style.rooms) for speaker in present} if style.rooms else None
        conversations.append(Conversation(f"{name}-{place:05d}", tuple(parts), noise, rooms))
    return conversations


def _order(counts: dict[str, int], rng: random.Random) -> list[str]:
    """The speakers in order: each as often as counted, and not twice in a row if that can be."""
    left, order = dict(counts), []
    while left:
        others = [speaker for speaker in left if not order or speaker != order[-1]] or list(left)
        most = max(left[speaker] for speaker in others)
        speaker = rng.choice([speaker for speaker in others if left[speaker] >= most - 1])
        order.append(speaker)
        left[speaker] -= 1
        if not left[speaker]:
            del left[speaker]
    return order


def _place(order: Sequence[str], decks: dict[str, _Deck], style: Style, rng: random.Random) -> list[Placed]:
    """Utterances in time. Those of one speaker never overlap."""
    present = dict.fromkeys(order)
    gains = {speaker: round(rng.uniform(*style.levels), 2) for speaker in present}
    speeds = {speaker: rng.choice(style.speeds) for speaker in present}
    parts: list[Placed] = []
    free_from: dict[str, float] = {}
    for speaker in order:
        utterance = decks[speaker].deal()
        length = utterance.seconds / speeds[speaker]
        offset = round(rng.uniform(0, style.pause[1]), 3)
        if parts:
            last = max(parts, key=lambda part: part.end)
            if rng.random() < style.overlap_prob and last.utterance.speaker != speaker:
                shared = rng.uniform(*style.overlap) * min(length, last.end - last.offset)
                offset = last.end - shared
            else:
                offset = last.end + rng.uniform(*style.pause)
            offset = round(max(offset, free_from.get(speaker, 0.0)), 3)
        parts.append(Placed(utterance, offset, gains[speaker], speeds[speaker]))
        free_from[speaker] = parts[-1].end + 0.05
    return parts


def render(conversation: Conversation, path: Path) -> None:
    """Write a conversation as 16-bit WAV at 16 kHz; louder than full scale is scaled down.

    Raises:
        AudioError: an utterance, a noise or a room cannot be read.
    """
    import torch

    from dataset.audio import read
    from dataset.augmentations.levels import add_at_ratio
    from dataset.augmentations.reverb import in_room
    from dataset.augmentations.speed import SpeedPerturb

    wav = torch.zeros(math.ceil(conversation.seconds * SAMPLE_RATE) + 1)
    for part in conversation.parts:
        utterance = part.utterance
        samples = read(utterance.wav_path, utterance.start, utterance.end)
        samples = SpeedPerturb([part.speed]).apply(samples, 0)
        if conversation.rooms:
            samples = in_room(samples, read(conversation.rooms[utterance.speaker]))
        first = round(part.offset * SAMPLE_RATE)
        samples = samples[: len(wav) - first] * 10 ** (part.gain_db / 20)
        wav[first : first + len(samples)] += samples
    if conversation.noise:
        source, ratio, share = conversation.noise
        noise = read(source)
        noise = torch.roll(noise, -int(share * len(noise)))
        wav = add_at_ratio(wav, noise.repeat(-(-len(wav) // len(noise)))[: len(wav)], ratio)
    wav = wav / max(1.0, float(wav.abs().max()) / 0.99)
    write_wav(path, wav.numpy(), SAMPLE_RATE)


class _Deck:
    """Deals utterances in random order, each once a round."""

    def __init__(self, utterances: Sequence[Utterance], rng: random.Random):
        self.utterances, self.rng, self.left = list(utterances), rng, []

    def deal(self) -> Utterance:
        """The next one."""
        self.left = self.left or self.rng.sample(self.utterances, len(self.utterances))
        return self.left.pop()
