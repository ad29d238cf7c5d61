"""The pretrained models of ``torchaudio.pipelines``: one class per model, with its size and training data."""

from __future__ import annotations

from nn.upstream.pretrained.torchaudio_models import Pipeline


class Wav2Vec2Base(Pipeline):
    """wav2vec 2.0 base: 12 layers of 768, 960 h of LibriSpeech."""

    name = "WAV2VEC2_BASE"


class Wav2Vec2Large(Pipeline):
    """wav2vec 2.0 large: 24 layers of 1024, 960 h of LibriSpeech."""

    name = "WAV2VEC2_LARGE"


class Wav2Vec2LargeLV60K(Pipeline):
    """wav2vec 2.0 large: 24 layers of 1024, 60,000 h of Libri-Light."""

    name = "WAV2VEC2_LARGE_LV60K"


class Wav2Vec2AsrBase10m(Pipeline):
    """wav2vec 2.0 base, then 10 min of transcribed Libri-Light."""

    name = "WAV2VEC2_ASR_BASE_10M"


class Wav2Vec2AsrBase100h(Pipeline):
    """wav2vec 2.0 base, then 100 h of transcribed LibriSpeech."""

    name = "WAV2VEC2_ASR_BASE_100H"


class Wav2Vec2AsrBase960h(Pipeline):
    """wav2vec 2.0 base, then 960 h of transcribed LibriSpeech."""

    name = "WAV2VEC2_ASR_BASE_960H"


class Wav2Vec2AsrLarge10m(Pipeline):
    """wav2vec 2.0 large, then 10 min of transcribed Libri-Light."""

    name = "WAV2VEC2_ASR_LARGE_10M"


class Wav2Vec2AsrLarge100h(Pipeline):
    """wav2vec 2.0 large, then 100 h of transcribed LibriSpeech."""

    name = "WAV2VEC2_ASR_LARGE_100H"


class Wav2Vec2AsrLarge960h(Pipeline):
    """wav2vec 2.0 large, then 960 h of transcribed LibriSpeech."""

    name = "WAV2VEC2_ASR_LARGE_960H"


class Wav2Vec2AsrLargeLV60K10m(Pipeline):
    """wav2vec 2.0 large of Libri-Light, then 10 min of its transcribed part."""

    name = "WAV2VEC2_ASR_LARGE_LV60K_10M"


class Wav2Vec2AsrLargeLV60K100h(Pipeline):
    """wav2vec 2.0 large of Libri-Light, then 100 h of transcribed LibriSpeech."""

    name = "WAV2VEC2_ASR_LARGE_LV60K_100H"


class Wav2Vec2AsrLargeLV60K960h(Pipeline):
    """wav2vec 2.0 large of Libri-Light, then 960 h of transcribed LibriSpeech."""

    name = "WAV2VEC2_ASR_LARGE_LV60K_960H"


class VoxPopuliAsrDe(Pipeline):
    """wav2vec 2.0 base of VoxPopuli (10,000 h, 23 languages), then transcribed German."""

    name = "VOXPOPULI_ASR_BASE_10K_DE"


class VoxPopuliAsrEn(Pipeline):
    """wav2vec 2.0 base of VoxPopuli (10,000 h, 23 languages), then transcribed English."""

    name = "VOXPOPULI_ASR_BASE_10K_EN"


class VoxPopuliAsrEs(Pipeline):
    """wav2vec 2.0 base of VoxPopuli (10,000 h, 23 languages), then transcribed Spanish."""

    name = "VOXPOPULI_ASR_BASE_10K_ES"


class VoxPopuliAsrFr(Pipeline):
    """wav2vec 2.0 base of VoxPopuli (10,000 h, 23 languages), then transcribed French."""

    name = "VOXPOPULI_ASR_BASE_10K_FR"


class VoxPopuliAsrIt(Pipeline):
    """wav2vec 2.0 base of VoxPopuli (10,000 h, 23 languages), then transcribed Italian."""

    name = "VOXPOPULI_ASR_BASE_10K_IT"


class Xlsr53(Pipeline):
    """XLSR-53: 24 layers of 1024, 56,000 h in 53 languages."""

    name = "WAV2VEC2_XLSR53"


class Xlsr300m(Pipeline):
    """XLS-R: 24 layers of 1024, 436,000 h in 128 languages."""

    name = "WAV2VEC2_XLSR_300M"


class Xlsr1b(Pipeline):
    """XLS-R: 48 layers of 1280, 436,000 h in 128 languages."""

    name = "WAV2VEC2_XLSR_1B"


class Xlsr2b(Pipeline):
    """XLS-R: 48 layers of 1920, 436,000 h in 128 languages."""

    name = "WAV2VEC2_XLSR_2B"


class MmsFa(Pipeline):
    """MMS: 24 layers of 1024, then 31,000 h of transcribed speech in 1130 languages."""

    name = "MMS_FA"


class HubertBase(Pipeline):
    """HuBERT base: 12 layers of 768, 960 h of LibriSpeech."""

    name = "HUBERT_BASE"


class HubertLarge(Pipeline):
    """HuBERT large: 24 layers of 1024, 60,000 h of Libri-Light."""

    name = "HUBERT_LARGE"


class HubertXLarge(Pipeline):
    """HuBERT extra large: 48 layers of 1280, 60,000 h of Libri-Light."""

    name = "HUBERT_XLARGE"


class HubertAsrLarge(Pipeline):
    """HuBERT large, then 960 h of transcribed LibriSpeech."""

    name = "HUBERT_ASR_LARGE"


class HubertAsrXLarge(Pipeline):
    """HuBERT extra large, then 960 h of transcribed LibriSpeech."""

    name = "HUBERT_ASR_XLARGE"


class WavLMBase(Pipeline):
    """WavLM base: 12 layers of 768, 960 h of LibriSpeech."""

    name = "WAVLM_BASE"


class WavLMBasePlus(Pipeline):
    """WavLM base+: 12 layers of 768, 94,000 h of Libri-Light, GigaSpeech and VoxPopuli."""

    name = "WAVLM_BASE_PLUS"


class WavLMLarge(Pipeline):
    """WavLM large: 24 layers of 1024, 94,000 h of Libri-Light, GigaSpeech and VoxPopuli."""

    name = "WAVLM_LARGE"
