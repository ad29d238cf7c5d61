"""What the tests of pretrained encoders share: batches of several lengths, and the rules that each encoder keeps."""

from __future__ import annotations

import torch

LENGTHS = [12000, 7001, 400, 3000, 100, 0]


def padded(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with an offset, whose padding is NaN: nothing may read it."""
    generator = torch.Generator().manual_seed(seed)
    wav = torch.full((len(lengths), max(lengths)), float("nan"))
    for row, length in zip(wav, lengths):
        row[:length] = 0.03 + 0.1 * torch.randn(length, generator=generator)
    return wav, torch.tensor(lengths)


def spread(model: torch.nn.Module, seed: int = 0) -> None:
    """Norms and biases that are neither one nor zero, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


@torch.no_grad()
def check_states(upstream, reference, lengths=tuple(LENGTHS), tolerance: float = 1e-5) -> None:
    """Alone and in a padded batch, each utterance gets what ``reference(wav (1, T))`` gives: a list of (1, T', H)."""
    wav, wav_len = padded(list(lengths))
    upstream.eval()
    states, lens = upstream(wav, wav_len)
    assert len(states) == len(lens) == upstream.num_layers
    assert len(upstream.hidden_sizes) == len(upstream.downsample_rates) == upstream.num_layers
    for length, expected in zip(lens, upstream.output_lengths(wav_len)):
        assert length.dtype == torch.int64 and torch.equal(length, expected)
    for state, size in zip(states, upstream.hidden_sizes):
        assert state.isfinite().all() and state.shape[0] == len(lengths) and state.shape[2] == size
        assert state.shape[1] >= max(1, int(lens[0].max()))
    for i, length in enumerate(lengths):
        frames = int(lens[0][i])
        alone, _ = upstream(wav[i : i + 1, :length], wav_len[i : i + 1])
        assert all(state.isfinite().all() and state.shape[1] >= 1 for state in alone)
        if not frames:
            continue
        expected = reference(wav[i : i + 1, :length])
        assert len(expected) == upstream.num_layers
        for layer, (one, ours, theirs) in enumerate(zip(alone, states, expected)):
            assert theirs.shape[1] == frames, f"the source library gives {theirs.shape[1]} frames of {length} samples"
            where = f"layer {layer} of {length} samples"
            torch.testing.assert_close(one[:, :frames], theirs, atol=tolerance, rtol=0, msg=lambda m: f"{where}: {m}")  # noqa: B023
            ours = ours[i : i + 1, :frames]
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0, msg=lambda m: f"{where}: {m}")  # noqa: B023
