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
}
