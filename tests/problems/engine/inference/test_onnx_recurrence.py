"""Recurrent layers of every kind give torch's outputs and states in onnxruntime, for any batch and length."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from problems.engine.inference import onnx
from problems.engine.inference.onnx_recurrence import with_operators
from problems.engine.runtime.errors import ConfigError

pytest.importorskip("onnxscript", reason="pip install 'soundstage[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'soundstage[onnx]'")

LAYERS = {
    "LSTM of two layers": lambda: nn.LSTM(4, 5, 2, batch_first=True),
    "LSTM in both directions": lambda: nn.LSTM(4, 5, 2, bidirectional=True, dropout=0.3),
    "LSTM without biases": lambda: nn.LSTM(4, 5, bias=False, batch_first=True),
    "GRU": lambda: nn.GRU(4, 5, 2, batch_first=True, bidirectional=True),
    "RNN": lambda: nn.RNN(4, 5, batch_first=True),
    "RNN with ReLU": lambda: nn.RNN(4, 5, nonlinearity="relu"),
}


class Recurrent(nn.Module):
    """The outputs of a layer, with its last states beside each frame."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, wav, wav_len):
        x = torch.stack([wav, wav.square(), wav.sin(), wav.abs()], -1)
        y, state = self.layer(x if self.layer.batch_first else x.transpose(0, 1))
        y = y if self.layer.batch_first else y.transpose(0, 1)
        state = torch.cat(state) if isinstance(state, tuple) else state
        return torch.cat([y, state.transpose(0, 1).flatten(1)[:, None].expand(-1, y.shape[1], -1)], -1), wav_len


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same_in_onnx(name, tmp_path):
    torch.manual_seed(0)
    model = Recurrent(LAYERS[name]()).eval()
    waves = [torch.randn(length) for length in (3, 50, 51, 400)]
    result = onnx.write(model, tmp_path / "model.onnx", "onnx", waves[1:2])
    assert result.difference < 1e-5
    program = onnx.load_onnx(tmp_path / "model.onnx")
    for wave in waves:
        expected, _ = model(wave[None], torch.tensor([len(wave)]))
        assert torch.allclose(program(wave[None], torch.tensor([len(wave)]))[0], expected, atol=1e-5)


def test_a_model_without_recurrence_is_not_copied_and_one_with_it_is_left_as_it_is():
    plain, recurrent = nn.Linear(2, 2), nn.Sequential(nn.LSTM(2, 2))
    assert with_operators(plain) is plain
    assert with_operators(recurrent) is not recurrent and isinstance(recurrent[0], nn.LSTM)


class Packing(nn.Module):
    """A head that packs its batch."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(1, 5, batch_first=True)

    def forward(self, wav, wav_len):
        packed = nn.utils.rnn.pack_padded_sequence(wav[..., None], wav_len, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Recurrent(nn.LSTM(4, 5, proj_size=2)), r"projections \(proj_size\)"), (Packing(), "")],
    ids=["projections", "packed"],
)
def test_what_has_no_node_is_refused_with_the_reason(model, reason, tmp_path):
    with pytest.raises(ConfigError, match=f"torch cannot export this model: .*{reason}"):
        onnx.write(model.eval(), tmp_path / "model.onnx", "onnx", [torch.randn(40)])
    assert not list(tmp_path.iterdir())
