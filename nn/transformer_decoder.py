"""Transformer decoder: the next token from those before it and from encoded frames (Vaswani et al., 2017).

The layer norms come first, as in most recent decoders. A layer is written here because torch's cannot keep what it has
computed of earlier tokens, without which a search computes each prefix anew.

Notation: B utterances, S tokens, T frames, K hypotheses of an utterance, V tokens of the vocabulary, D ``size``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nn.attention import Attention, positions
from nn.mask import frame_mask, zero_padding

END = 0
"""The token that begins and ends a sentence: CTC's blank, which no text contains."""
Cache = tuple[Tensor, Tensor]


class TransformerDecoder(nn.Module):
    """Scores of the next token.

    Args:
        vocabulary: V
        size: features of each token, and outputs of the head for each frame that are attended to
        layers: number of layers
        heads: attention heads of each layer; they divide size
        feedforward: hidden units of the feed-forward parts
        dropout: dropout after each part of a layer, and of the attention weights
    """

    def __init__(
        self,
        vocabulary: int,
        size: int = 144,
        layers: int = 2,
        heads: int = 4,
        feedforward: int = 576,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if min(size, layers, feedforward) < 1:
            raise ValueError(f"size ({size}), layers ({layers}) and feedforward ({feedforward}) must be at least 1")
        self.size = size
        self.embedding = nn.Embedding(vocabulary, size)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.memory_norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(DecoderLayer(size, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(size)
        self.output = nn.Linear(size, vocabulary)

    def forward(self, tokens: Tensor, memory: Tensor, memory_len: Tensor) -> Tensor:
        """Scores of each token and of the end, given the true tokens before it (teacher forcing).

        Args:
            tokens: int64 (B, S). memory: (B, T, D). memory_len: (B,), 0 allowed.

        Returns:
            logits (B, S + 1, V); the first are those of the first token, those after an utterance's end are undefined.
        """
        x = self.embedded(nn.functional.pad(tokens, (1, 0), value=END), 0)
        memory, seen = self.remember(memory, memory_len)
        before = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        for layer in self.layers:
            x, _ = layer.look_back(x, before)
            x = layer.listen(x, layer.cross_attention.keys_and_values(memory), seen)
        return self.output(self.norm(x))

    def embedded(self, tokens: Tensor, first: int) -> Tensor:
        """tokens (B, S), the first of them at position ``first`` -> (B, S, D)."""
        x = self.embedding(tokens) * self.size**0.5
        return self.dropout(x + positions(first, tokens.shape[1], x))

    def remember(self, memory: Tensor, memory_len: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised memory, and which of its frames are seen: bool (B, 1, 1, T)."""
        memory = nn.functional.pad(memory, (0, 0, 0, int(memory.shape[1] == 0)))
        seen = frame_mask(memory_len.clamp_min(1), memory.shape[1])[:, None, None]  # else a row of NaN
        return self.memory_norm(zero_padding(memory, memory_len)), seen


class DecoderLayer(nn.Module):
    """Attention to the tokens before, attention to the memory, a feed-forward part; each added, after a layer norm."""

    def __init__(self, size: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_norm, self.cross_norm, self.last_norm = (nn.LayerNorm(size) for _ in range(3))
        self.self_attention = Attention(size, heads, dropout)
        self.cross_attention = Attention(size, heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(size, feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward, size)
        )

    def look_back(self, x: Tensor, mask: Tensor | None = None, kept: Cache | None = None) -> tuple[Tensor, Cache]:
        """The first part: each token sees those before it.

        Args:
            x: (B, N, D).
            mask: bool (N, N), true for what a token sees; None: all.
            kept: keys and values of tokens before those of ``x``.

        Returns:
            (B, N, D), and the keys and values of all tokens.
        """
        normed = self.self_norm(x)
        keys, values = self.self_attention.keys_and_values(normed)
        if kept is not None:
            keys, values = torch.cat([kept[0], keys], dim=2), torch.cat([kept[1], values], dim=2)
        return x + self.dropout(self.self_attention(normed, keys, values, mask)), (keys, values)

    def listen(self, x: Tensor, memory: Cache, seen: Tensor) -> Tensor:
        """The other parts: x (B, N, D) sees the memory, whose true frames are ``seen`` -> (B, N, D)."""
        x = x + self.dropout(self.cross_attention(self.cross_norm(x), *memory, seen))
        return x + self.dropout(self.feedforward(self.last_norm(x)))


class DecoderSearch:
    """A decoder in a search: K hypotheses of each utterance grow by one token at a time.

    Keys and values of the memory are computed once, those of tokens when they are added.

    Args:
        decoder: in evaluation mode.
        memory: (B, T, D). memory_len: (B,).
        beam: K
    """

    def __init__(self, decoder: TransformerDecoder, memory: Tensor, memory_len: Tensor, beam: int) -> None:
        self.decoder, self.beam = decoder, beam
        memory, self.seen = decoder.remember(memory, memory_len)
        self.memory = [layer.cross_attention.keys_and_values(memory) for layer in decoder.layers]
        self.own: list[Cache | None] = [None] * len(decoder.layers)
        self.length = 0

    def step(self, parents: Tensor, tokens: Tensor) -> Tensor:
        """Replace the hypotheses by extensions of some of them.

        Args:
            parents: int64 (B, K), the hypothesis that each extends. tokens: int64 (B, K), by which; END at first.

        Returns:
            log probabilities of their next tokens, float32 (B, K, V).
        """
        batch = len(parents)
        rows = (torch.arange(batch, device=parents.device)[:, None] * self.beam + parents).flatten()
        x = self.decoder.embedded(tokens.reshape(-1, 1), self.length)
        for number, layer in enumerate(self.decoder.layers):
            kept = self.own[number]
            if kept is not None:
                kept = kept[0].index_select(0, rows), kept[1].index_select(0, rows)
            x, self.own[number] = layer.look_back(x, kept=kept)
            # the hypotheses of an utterance ask its one memory together
            x = layer.listen(x.view(batch, self.beam, -1), self.memory[number], self.seen).view_as(x)
        self.length += 1
        logits = self.decoder.output(self.decoder.norm(x)).view(batch, self.beam, -1)
        return logits.float().log_softmax(-1)
