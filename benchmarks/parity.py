"""Compare the states of pretrained upstreams with those of their source libraries: the table of docs/measured.md.

    python -m benchmarks.parity [LAYERS] [WORD]

Models whose name contains WORD, at full width, with LAYERS layers (3 by default) and random weights. The reference is
the source library's hidden states of an utterance alone. The table gives the greatest difference from it over all
layers and utterances: for our states of the utterance alone, for ours in a padded batch of four lengths, and for the
library's own in that batch. States are of the order of 1 to 10.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable, Iterator

import torch
import torchaudio.pipelines
from torch import Tensor, nn

from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
from tests.parts.torchaudio_models import bundle_model, torchaudio_states
from tests.parts.upstreams import padded

LENGTHS = [48000, 30011, 16000, 5003]
LAYERS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
WORD = sys.argv[2] if len(sys.argv) > 2 else ""
States = Callable[[Tensor], list[Tensor]]
Batch = Callable[[Tensor, Tensor], list[Tensor] | None]
Model = tuple[str, nn.Module, States, Batch]  # name, upstream, the library's states of one utterance, and of a batch
WIDE = {"num_hidden_layers": LAYERS}
LARGE = {
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}
HF = {
    "Wav2Vec2 base": ("Wav2Vec2", WIDE, True),
    "Wav2Vec2 large (XLS-R, MMS)": ("Wav2Vec2", WIDE | LARGE, True),
    "Hubert base": ("Hubert", WIDE, True),
    "Hubert base with conv_pos_batch_norm": ("Hubert", WIDE | {"conv_pos_batch_norm": True}, True),
    "Hubert large": ("Hubert", WIDE | LARGE, True),
    "WavLM base": ("WavLM", WIDE, False),
    "WavLM large": ("WavLM", WIDE | LARGE, True),
    "Data2VecAudio base": ("Data2VecAudio", WIDE | {"conv_pos_kernel_size": 19}, True),
    "UniSpeechSat base": ("UniSpeechSat", WIDE, True),
    "Wav2Vec2Conformer (one utterance at a time)": ("Wav2Vec2Conformer", WIDE, True),
    "Wav2Vec2Bert": ("Wav2Vec2Bert", WIDE, None),
    "Whisper small, encoder": (
        "Whisper",
        {
            "encoder_layers": LAYERS,
            "decoder_layers": 1,
            "d_model": 768,
            "encoder_attention_heads": 12,
            "encoder_ffn_dim": 3072,
        },
        None,
    ),
}


def largest(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The greatest difference over layers, within the library's number of frames."""
    return max(float((a[:, : b.shape[1]] - b).abs().max()) for a, b in zip(ours, theirs))


def torchaudio_models() -> Iterator[Model]:
    """The models of torchaudio."""
    for name in ("WAV2VEC2_BASE", "HUBERT_BASE", "WAVLM_BASE", "WAV2VEC2_LARGE", "WAVLM_LARGE", "WAV2VEC2_XLSR_300M"):
        if WORD not in name:
            continue
        model, normalise = bundle_model(name, LAYERS), getattr(torchaudio.pipelines, name)._normalize_waveform
        source = copy.deepcopy(model)

        def batch(wav: Tensor, wav_len: Tensor, source=source, normalise=normalise) -> list[Tensor] | None:
            if source.encoder.transformer.layers[0].attention.__class__.__name__ == "WavLMSelfAttention":
                return None  # it does not accept lengths
            wav = torch.nn.functional.layer_norm(wav, wav.shape) if normalise else wav
            return source.extract_features(wav, wav_len)[0][:-1]

        yield f"torchaudio {name}", Wav2Vec2(model, normalise), torchaudio_states(source, normalise), batch


def hugging_face_models() -> Iterator[Model]:
    """The models of transformers, saved to a folder and loaded from it."""
    import transformers

    from nn.upstream.pretrained.huggingface import hugging_face
    from tests.parts.hugging_face import library_states, saved, whisper_states

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name, (kind, conf, normalise) in HF.items():
        if WORD not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = saved(folder, kind, conf, normalise)
            upstream = hugging_face(folder)
            states = whisper_states(model) if kind == "Whisper" else library_states(model, folder)

            def batch(wav: Tensor, wav_len: Tensor, model=model, kind=kind, normalise=normalise) -> list[Tensor] | None:
                if kind in ("Whisper", "Wav2Vec2Bert"):
                    return None  # batches of these hold features, not waveforms
                extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
                rows = [row[:n].numpy() for row, n in zip(wav, wav_len.tolist())]
                inputs = extractor(
                    rows, sampling_rate=16000, padding=True, return_tensors="pt", return_attention_mask=True
                )
                return list(model(**inputs, output_hidden_states=True).hidden_states[:-1])

            yield f"transformers {name}", upstream, states, batch


@torch.no_grad()
def main() -> None:
    """Print the table."""
    print("| model | states | size | stride | ours alone | ours in a batch | the library's own in that batch |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    wav, wav_len = padded(LENGTHS)
    for models in (torchaudio_models, hugging_face_models):
        for name, upstream, states, batch in models():
            upstream.eval()
            together = upstream(wav, wav_len)[0]
            library = batch(wav.nan_to_num(), wav_len)
            alone, padded_ours, padded_theirs = [], [], []
            for row, samples in enumerate(LENGTHS):
                utterance = wav[row : row + 1, :samples]
                expected = states(utterance)
                alone.append(largest(upstream(utterance, wav_len[row : row + 1])[0], expected))
                padded_ours.append(largest([s[row : row + 1] for s in together], expected))
                if library is not None:
                    skipped = expected[1:] if len(library) < len(expected) - 1 else expected
                    padded_theirs.append(largest([s[row : row + 1] for s in library], skipped))
            theirs = f"{max(padded_theirs):.1e}" if padded_theirs else "-"
            print(
                f"| {name} | {upstream.num_layers} | {upstream.hidden_sizes[0]} | {upstream.downsample_rates[0]}"
                f" | {max(alone):.1e} | {max(padded_ours):.1e} | {theirs} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
