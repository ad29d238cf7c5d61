"""Hugging Face's audio encoders by a name on the hub or a local folder: which class reads which family, and loading.

Weights are safetensors only and no code of a repository runs. transformers is imported when a model is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from nn.upstream.pretrained.huggingface_families import (
    Conformer,
    Convolutional,
    HuggingFaceEncoder,
    Wav2Vec2Bert,
    Whisper,
)
from nn.upstream.signal.base import SAMPLE_RATE

FAMILIES: dict[str, type[HuggingFaceEncoder]] = {
    "wav2vec2": Convolutional,
    "hubert": Convolutional,
    "wavlm": Convolutional,
    "data2vec-audio": Convolutional,
    "unispeech": Convolutional,
    "unispeech-sat": Convolutional,
    "wav2vec2-conformer": Conformer,
    "wav2vec2-bert": Wav2Vec2Bert,
    "whisper": Whisper,
}
# learnt with the masks of pretraining: a checkpoint may lack it, and only fine-tuning with masks uses it
OPTIONAL_WEIGHTS = ("masked_spec_embed",)


def hugging_face(
    model: str | None = None,
    revision: str | None = None,
    normalise: bool | None = None,
    checkpoint: str | None = None,
    seed: int = 0,
) -> HuggingFaceEncoder:
    """An audio encoder of Hugging Face transformers, in float32.

    Args:
        model: a name on the hub, as facebook/hubert-base-ls960, or a local folder
        revision: the hub's branch, tag or commit; null: its main branch
        normalise: zero mean and unit variance of each waveform; null: as the model's preprocessor_config.json says
        checkpoint: "random" for random weights; null: those of the model
        seed: what random weights follow from

    Raises:
        ValueError: transformers is missing, the model cannot be loaded, or its family is not supported.
    """
    if not model:
        raise ValueError("model must be given: a name on the Hugging Face hub, or a local folder")
    if checkpoint not in (None, "random"):
        raise ValueError(f'checkpoint is {checkpoint!r}, expected null or "random"; a local folder is named by model')
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"transformers is needed ({error}): pip install 'soundstage[hf]'") from error
    source: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    if Path(model).expanduser().is_dir():
        model, source["local_files_only"] = str(Path(model).expanduser()), True
    try:
        config = transformers.AutoConfig.from_pretrained(model, **source)
    except (OSError, ValueError) as error:
        raise _not_loaded(model, error) from error
    family = _family(model, config)
    _turn_off(config)
    try:
        encoder = _random(config, seed) if checkpoint else _pretrained(model, config, source)
    except (OSError, ValueError, ImportError) as error:
        raise _not_loaded(model, error) from error
    if family.takes_waveforms and normalise is None:
        normalise = _normalises(model, source)
    return family(encoder, bool(normalise)).eval()


def _not_loaded(model: str, error: Exception) -> ValueError:
    return ValueError(
        f"the model {model!r} cannot be loaded: {error}\nIt must be a local folder, or a name on the hub that is in its"
        " cache or can be fetched, with weights in safetensors"
    )


def _family(model: str, config: Any) -> type[HuggingFaceEncoder]:
    """The class for a model's family.

    Raises:
        ValueError: there is none. Other encoders of transformers differ in their input, their number of frames or their
            number of hidden states: they would fail in the middle of a run, or give wrong lengths.
    """
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"{model!r} is a model of the family {config.model_type}, which is not supported; expected one of"
            f" {', '.join(FAMILIES)}. Write an upstream of your own around it (docs/upstreams.md, Your own)"
        )
    return FAMILIES[config.model_type]


def _turn_off(config: Any) -> None:
    """Masks and layer drop are the fine-tuning's to ask for, not the checkpoint's."""
    for name, off in (("apply_spec_augment", False), ("layerdrop", 0.0), ("encoder_layerdrop", 0.0)):
        if hasattr(config, name):
            setattr(config, name, off)


def _random(config: Any, seed: int) -> nn.Module:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModel.from_config(config, dtype=torch.float32)


def _pretrained(model: str, config: Any, source: dict[str, Any]) -> nn.Module:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        made, told = AutoModel.from_pretrained(
            model, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **source
        )
    missing = [name for name in told["missing_keys"] if not name.endswith(OPTIONAL_WEIGHTS)]
    if missing or told["mismatched_keys"]:
        wrong = sorted(missing)[:3] or list(told["mismatched_keys"])[:3]
        raise ValueError(
            f"its weights are not those of a {type(made).__name__}: missing or of another shape are {wrong}"
        )
    return made


def _normalises(model: str, source: dict[str, Any]) -> bool:
    """What the model's own preprocessing does to waveforms."""
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(model, **source)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{model!r} has no preprocessor_config.json to say whether waveforms are normalised: give normalise true or"
            f" false ({error})"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ValueError(f"{model!r} takes audio at {extractor.sampling_rate} Hz; here it is at {SAMPLE_RATE} Hz")
    return bool(getattr(extractor, "do_normalize", False))
