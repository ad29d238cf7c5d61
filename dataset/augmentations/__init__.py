"""Waveform augmentations by name.

All randomness comes from torch's generator, which the loader seeds for each utterance by (seed, epoch, id). A resumed
training therefore sees the same waveforms.
"""

AUGMENTATIONS = {
    "noise": "dataset.augmentations.noise:Noise",
    "reverb": "dataset.augmentations.reverb:Reverb",
    "volume": "dataset.augmentations.volume:Volume",
}
"""Those that ``build_dataset.augment`` may name; speed, bands and crops have keys of their own."""
