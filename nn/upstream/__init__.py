"""Upstreams by name: modules that turn waveforms into frames. Importing this does not import torch.

Every upstream is a module with this interface (B: batch, T: samples at 16 kHz, L: layers, T': frames, H: features):

- ``upstream(wav (B, T), wav_len (B,)) -> (hidden_states, lengths)``: L tensors (B, T', H) and L int64
  tensors (B,). Frames past an item's length are padding; T' is at least 1.
- ``num_layers``, ``hidden_sizes`` (list of L int), ``downsample_rates`` (list of L int, samples per frame).
- ``output_lengths(wav_len (B,))``: the same L lengths without a forward pass.
"""

UPSTREAMS = {
    "fbank": "nn.upstream.signal.kaldi:Fbank",
    "mfcc": "nn.upstream.signal.kaldi:MFCC",
    "mel": "nn.upstream.signal.stft:Mel",
    "linear": "nn.upstream.signal.stft:Linear",
    "spectrogram": "nn.upstream.signal.kaldi:Spectrogram",
    "ge2e": "nn.upstream.ge2e:GE2E",
    "callable": "nn.upstream.from_callable:FromCallable",
    "hf": "nn.upstream.pretrained.huggingface:hugging_face",
    "wav2vec2_base": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2Base",
    "wav2vec2_large": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2Large",
    "wav2vec2_large_lv60k": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2LargeLV60K",
    "wav2vec2_asr_base_10m": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrBase10m",
    "wav2vec2_asr_base_100h": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrBase100h",
    "wav2vec2_asr_base_960h": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrBase960h",
    "wav2vec2_asr_large_10m": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrLarge10m",
    "wav2vec2_asr_large_100h": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrLarge100h",
    "wav2vec2_asr_large_960h": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrLarge960h",
    "wav2vec2_asr_large_lv60k_10m": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrLargeLV60K10m",
    "wav2vec2_asr_large_lv60k_100h": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrLargeLV60K100h",
    "wav2vec2_asr_large_lv60k_960h": "nn.upstream.pretrained.torchaudio_bundles:Wav2Vec2AsrLargeLV60K960h",
    "voxpopuli_asr_base_10k_de": "nn.upstream.pretrained.torchaudio_bundles:VoxPopuliAsrDe",
    "voxpopuli_asr_base_10k_en": "nn.upstream.pretrained.torchaudio_bundles:VoxPopuliAsrEn",
    "voxpopuli_asr_base_10k_es": "nn.upstream.pretrained.torchaudio_bundles:VoxPopuliAsrEs",
    "voxpopuli_asr_base_10k_fr": "nn.upstream.pretrained.torchaudio_bundles:VoxPopuliAsrFr",
    "voxpopuli_asr_base_10k_it": "nn.upstream.pretrained.torchaudio_bundles:VoxPopuliAsrIt",
    "xlsr_53": "nn.upstream.pretrained.torchaudio_bundles:Xlsr53",
    "xlsr_300m": "nn.upstream.pretrained.torchaudio_bundles:Xlsr300m",
    "xlsr_1b": "nn.upstream.pretrained.torchaudio_bundles:Xlsr1b",
    "xlsr_2b": "nn.upstream.pretrained.torchaudio_bundles:Xlsr2b",
    "mms_fa": "nn.upstream.pretrained.torchaudio_bundles:MmsFa",
    "hubert_base": "nn.upstream.pretrained.torchaudio_bundles:HubertBase",
    "hubert_large": "nn.upstream.pretrained.torchaudio_bundles:HubertLarge",
    "hubert_xlarge": "nn.upstream.pretrained.torchaudio_bundles:HubertXLarge",
    "hubert_asr_large": "nn.upstream.pretrained.torchaudio_bundles:HubertAsrLarge",
    "hubert_asr_xlarge": "nn.upstream.pretrained.torchaudio_bundles:HubertAsrXLarge",
    "wavlm_base": "nn.upstream.pretrained.torchaudio_bundles:WavLMBase",
    "wavlm_base_plus": "nn.upstream.pretrained.torchaudio_bundles:WavLMBasePlus",
    "wavlm_large": "nn.upstream.pretrained.torchaudio_bundles:WavLMLarge",
}
