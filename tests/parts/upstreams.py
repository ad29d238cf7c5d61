"""Padded batches of several lengths, and the rules that every pretrained encoder keeps."""

from __future__ import annotations

import torch

LENGTHS = [12000, 7001, 400, 3000, 100, 0]


def padded(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with an offset. The padding is NaN: nothing may read it."""
    generator = torch.Generator().manual_seed(seed)
    wav = torch.full((len(lengths), max(lengths)), float("nan"))
    for row, length in zip(wav, lengths):
        row[:length] = 0.03 + 0.1 * torch.randn(length, generator=generator)
    return wav, torch.tensor(lengths)


def spread(model: torch.nn.Module, seed: int = 0) -> None:
    """Move norms and biases away from one and zero, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def check_close(states: torch.Tensor, expected: torch.Tensor, tolerance: float, place: str) -> None:
    torch.testing.assert_close(states, expected, atol=tolerance, rtol=0, msg=lambda m: f"{place}: {m}")


@torch.no_grad()
def check_states(upstream, reference, lengths=tuple(LENGTHS), tolerance: float = 1e-5) -> None:
    """Check that each utterance, alone and in a padded batch, has the states of ``reference(wav (1, T))``.

    The reference returns a list of (1, T', H), one for each layer.
    """
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
    for row, length in enumerate(lengths):
        frames = int(lens[0][row])
        alone, _ = upstream(wav[row : row + 1, :length], wav_len[row : row + 1])
        assert all(state.isfinite().all() and state.shape[1] >= 1 for state in alone)
        if not frames:
            continue
        expected = reference(wav[row : row + 1, :length])
        assert len(expected) == upstream.num_layers
        for layer, (single, together, theirs) in enumerate(zip(alone, states, expected)):
            assert theirs.shape[1] == frames, f"the source library gives {theirs.shape[1]} frames of {length} samples"
            place = f"layer {layer} of {length} samples"
            check_close(single[:, :frames], theirs, tolerance, place)
            check_close(together[row : row + 1, :frames], theirs, tolerance, place)
