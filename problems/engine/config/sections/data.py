"""The sections of the data: the corpus, the label encoder, the dataset and its batches."""

from __future__ import annotations

from dataclasses import dataclass

from dataset.setting import setting


@dataclass
class PrepareData:
    """Stage 0: the metadata of a corpus."""

    corpus: str = setting(
        "toy", "the corpus; its own settings are keys of this section", registry="dataset.corpora:CORPORA"
    )
    min_seconds: float = setting(0.05, "shortest usable audio", min=0)
    train_fraction: float | None = setting(
        None, "part of the training set to use, chosen by a hash of the ids; null: all of it", min=0.001, max=1
    )
    skip_bad: bool = setting(False, "skip unusable audio, and log it, instead of stopping")


@dataclass
class BuildDataset:
    """Augmentation of the training audio."""

    speeds: list[float] = setting([1.0], "speed perturbation: one speed is drawn per utterance, e.g. [0.9, 1.0, 1.1]")
    band_limits: list[float] | None = setting(
        None, "remove all above one of these frequencies in Hz, drawn per utterance, e.g. [4000, 8000]; null: off"
    )
    augment: list[dict] | None = setting(
        None, "further augmentations in their order, e.g. [{name: noise, prob: 0.5, conf: {source: DIR, snr: [0, 20]}}]"
    )


@dataclass
class BuildEncoder:
    """Stage 1: the encoder of the labels."""

    name: str = setting("character", "the label encoder", registry="dataset.encoders:TEXT_ENCODERS")
    conf: dict = setting({}, "its settings")


@dataclass
class Batches:
    """Batches of one mode."""

    name: str = setting("sorted", "the batch sampler", registry="dataset.samplers:SAMPLERS")
    batch_size: int | None = setting(16, "utterances per batch; null: as many as fit in max_seconds", min=1)
    max_seconds: float | None = setting(None, "longest batch in seconds, padding included; null: no limit", min=0)
    conf: dict = setting({}, "settings of the sampler, e.g. {buckets: 20}")
    batches_per_epoch: int | None = setting(
        None, "batches after which an epoch ends, and the next goes on with the data; null: all the data", min=1
    )


@dataclass
class TrainBatches(Batches):
    """Batches to train on."""

    sets: dict | None = setting(
        None,
        "a sub-batch of each of these corpora in every batch, with a weight and the keys above that differ, e.g."
        " {digits: {batch_size: 8}, sentences: {weight: 0.5}}; null: no sub-batches",
    )


@dataclass
class BuildBatchSampler:
    """The batches of each mode."""

    train: TrainBatches = setting(TrainBatches("bucket"), "batches to train on")
    valid: Batches = setting(Batches(), "batches to validate on")
    test: Batches = setting(Batches(), "batches to test on")
