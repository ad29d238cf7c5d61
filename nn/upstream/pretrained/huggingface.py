"""Audio encoders of Hugging Face transformers, loaded by a name on the hub or a local folder.

Weights are safetensors only. Code of a repository runs only if the user trusts a pinned commit of it. transformers is
imported when a model is built.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nn.upstream.pretrained.huggingface_by_length import Parakeet, SeamlessM4T, Squeezed
from nn.upstream.pretrained.huggingface_families import (
    Conformer,
    Convolutional,
    HuggingFaceEncoder,
    Wav2Vec2Bert,
    Whisper,
)
from nn.upstream.pretrained.remote_code import RemoteCode, require_own_code, require_pinned
from nn.upstream.signal.base import SAMPLE_RATE

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Source = dict[str, str | bool | None]  # keyword arguments of from_pretrained

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
    "sew": Squeezed,
    "sew-d": Squeezed,
    "seamless_m4t": SeamlessM4T,
    "seamless_m4t_v2": SeamlessM4T,
    "parakeet_encoder": Parakeet,
    "parakeet_ctc": Parakeet,
}
# the vector that replaces masked frames: checkpoints may lack it, and only fine-tuning with masks uses it
OPTIONAL_WEIGHTS = ("masked_spec_embed",)


def hugging_face(
    model: str | None = None,
    revision: str | None = None,
    normalise: bool | None = None,
    checkpoint: str | None = None,
    seed: int = 0,
    trust_remote_code: bool | None = None,
) -> HuggingFaceEncoder | RemoteCode:
    """An audio encoder of Hugging Face transformers, in float32.

    Args:
        model: a name on the hub, as facebook/hubert-base-ls960, or a local folder
        revision: the hub's branch, tag or commit; null: its main branch
        normalise: zero mean and unit variance for each waveform; null: as in the model's preprocessor_config.json
        checkpoint: "random" for random weights; null: those of the model
        seed: seed of random weights
        trust_remote_code: true: run code that comes with the model; revision must then be a commit

    Raises:
        ValueError: transformers is missing, the model cannot be loaded, or its family is not supported.
    """
    if not model:
        raise ValueError("conf.model is missing: set it to a name on the Hugging Face hub, or a local folder")
    if checkpoint not in (None, "random"):
        raise ValueError(f'checkpoint is {checkpoint!r}, expected null or "random"; set conf.model to a local folder')
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"the upstream hf needs transformers ({error}): pip install 'soundstage[hf]'") from error
    if trust_remote_code:
        require_pinned(model, revision)
    source: Source = {"revision": revision, "trust_remote_code": bool(trust_remote_code)}
    if Path(model).expanduser().is_dir():
        model, source["local_files_only"] = str(Path(model).expanduser()), True
    try:
        if trust_remote_code:
            require_own_code(model, source)
        config = transformers.AutoConfig.from_pretrained(model, **source)
    except (OSError, ValueError) as error:
        raise _not_loaded(model, error) from error
    has_code = trust_remote_code and bool(getattr(config, "auto_map", None))
    family = RemoteCode if has_code else _family(model, config)
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
        f"the model {model!r} cannot be loaded: {error}\nExpected a local folder, or a name on the hub that is in the"
        " local cache or can be downloaded, with weights in safetensors"
    )


def _family(model: str, config: PreTrainedConfig) -> type[HuggingFaceEncoder]:
    """The class for a model's family.

    Raises:
        ValueError: the family is not supported. Other encoders of transformers differ in their input or in the number
            of their frames or hidden states: they would fail in the middle of a run, or give wrong lengths.
    """
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"{model!r} is a model of the family {config.model_type}, which is not supported; expected one of"
            f" {', '.join(FAMILIES)}. For another family write an upstream of your own (docs/upstreams.md)"
        )
    return FAMILIES[config.model_type]


def _turn_off(config: PreTrainedConfig) -> None:
    """Turn off masks and layer drop of the checkpoint; ``build_model.finetune`` has its own."""
    for name, off in (("apply_spec_augment", False), ("layerdrop", 0.0), ("encoder_layerdrop", 0.0)):
        if hasattr(config, name):
            setattr(config, name, off)


def _random(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModel.from_config(config, dtype=torch.float32)


def _pretrained(model: str, config: PreTrainedConfig, source: Source) -> PreTrainedModel:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        encoder, report = AutoModel.from_pretrained(
            model, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **source
        )
    missing = [name for name in report["missing_keys"] if not name.endswith(OPTIONAL_WEIGHTS)]
    if missing or report["mismatched_keys"]:
        examples = sorted(missing)[:3] or list(report["mismatched_keys"])[:3]
        raise ValueError(f"its weights do not fit a {type(encoder).__name__}: missing or of another shape: {examples}")
    return encoder


def _normalises(model: str, source: Source) -> bool:
    """True if the model's own preprocessing normalises waveforms."""
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(model, **source)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{model!r} has no preprocessor_config.json, so it is unknown if it expects normalised waveforms: set"
            f" build_upstream.conf.normalise to true or false ({error})"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise ValueError(f"{model!r} expects audio at {extractor.sampling_rate} Hz, got {SAMPLE_RATE} Hz")
    return bool(getattr(extractor, "do_normalize", False))
