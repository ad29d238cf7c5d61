"""Waveform augmentations by name.

All randomness comes from torch's generator, which the loader seeds for each utterance by (seed, epoch, id). A resumed
training therefore sees the same waveforms.
"""

AUGMENTATIONS = {
    "noise": "dataset.augmentations.noise:Noise",
    "reverb": "dataset.augmentations.reverb:Reverb",
    "volume": "dataset.augmentations.volume:Volume",
    "babble": "dataset.augmentations.babble:Babble",
    "tempo": "dataset.augmentations.tempo:Tempo",
    "codec": "dataset.augmentations.codec:Codec",
    "time_shift": "dataset.augmentations.time_shift:TimeShift",
    "drop_chunks": "dataset.augmentations.drop_chunks:DropChunks",
    "drop_bands": "dataset.augmentations.drop_bands:DropBands",
}
"""Those that ``build_dataset.augment`` may name; speed, bands and crops have keys of their own."""
