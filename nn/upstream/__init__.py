"""Upstreams by name: what turns waveforms into frames. Importing this loads nothing heavy.

Every upstream is a module with this interface (B: batch, T: samples at 16 kHz, L: layers, T': frames):

- ``upstream(wav (B, T), wav_len (B,)) -> (hidden_states, lengths)``: L tensors (B, T', H) and L int64
  tensors (B,); frames past an item's length are padding; T' is at least 1.
- ``num_layers``, ``hidden_sizes`` (list of L int), ``downsample_rates`` (list of L int, samples a frame).
- ``output_lengths(wav_len (B,))``: the same L lengths without a forward pass.
"""

UPSTREAMS = {
    "fbank": "nn.upstream.kaldi:Fbank",
    "mfcc": "nn.upstream.kaldi:MFCC",
    "mel": "nn.upstream.stft:Mel",
    "linear": "nn.upstream.stft:Linear",
    "spectrogram": "nn.upstream.stft:Spectrogram",
    "ge2e": "nn.upstream.ge2e:GE2E",
    "hf": "nn.upstream.huggingface:hugging_face",
    "wav2vec2_base": "nn.upstream.pipelines:Wav2Vec2Base",
    "wav2vec2_large": "nn.upstream.pipelines:Wav2Vec2Large",
    "wav2vec2_large_lv60k": "nn.upstream.pipelines:Wav2Vec2LargeLV60K",
    "wav2vec2_asr_base_10m": "nn.upstream.pipelines:Wav2Vec2AsrBase10m",
    "wav2vec2_asr_base_100h": "nn.upstream.pipelines:Wav2Vec2AsrBase100h",
    "wav2vec2_asr_base_960h": "nn.upstream.pipelines:Wav2Vec2AsrBase960h",
    "wav2vec2_asr_large_10m": "nn.upstream.pipelines:Wav2Vec2AsrLarge10m",
    "wav2vec2_asr_large_100h": "nn.upstream.pipelines:Wav2Vec2AsrLarge100h",
    "wav2vec2_asr_large_960h": "nn.upstream.pipelines:Wav2Vec2AsrLarge960h",
    "wav2vec2_asr_large_lv60k_10m": "nn.upstream.pipelines:Wav2Vec2AsrLargeLV60K10m",
    "wav2vec2_asr_large_lv60k_100h": "nn.upstream.pipelines:Wav2Vec2AsrLargeLV60K100h",
    "wav2vec2_asr_large_lv60k_960h": "nn.upstream.pipelines:Wav2Vec2AsrLargeLV60K960h",
    "voxpopuli_asr_base_10k_de": "nn.upstream.pipelines:VoxPopuliAsrDe",
    "voxpopuli_asr_base_10k_en": "nn.upstream.pipelines:VoxPopuliAsrEn",
    "voxpopuli_asr_base_10k_es": "nn.upstream.pipelines:VoxPopuliAsrEs",
    "voxpopuli_asr_base_10k_fr": "nn.upstream.pipelines:VoxPopuliAsrFr",
    "voxpopuli_asr_base_10k_it": "nn.upstream.pipelines:VoxPopuliAsrIt",
    "xlsr_53": "nn.upstream.pipelines:Xlsr53",
    "xlsr_300m": "nn.upstream.pipelines:Xlsr300m",
    "xlsr_1b": "nn.upstream.pipelines:Xlsr1b",
    "xlsr_2b": "nn.upstream.pipelines:Xlsr2b",
    "mms_fa": "nn.upstream.pipelines:MmsFa",
    "hubert_base": "nn.upstream.pipelines:HubertBase",
    "hubert_large": "nn.upstream.pipelines:HubertLarge",
    "hubert_xlarge": "nn.upstream.pipelines:HubertXLarge",
    "hubert_asr_large": "nn.upstream.pipelines:HubertAsrLarge",
    "hubert_asr_xlarge": "nn.upstream.pipelines:HubertAsrXLarge",
    "wavlm_base": "nn.upstream.pipelines:WavLMBase",
    "wavlm_base_plus": "nn.upstream.pipelines:WavLMBasePlus",
    "wavlm_large": "nn.upstream.pipelines:WavLMLarge",
}
