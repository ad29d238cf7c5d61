"""Recurrent layers of every kind give torch's outputs and states when they are exported, for any batch and length."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from problems.engine.inference import onnx
from problems.engine.inference.recurrence import scanned, with_recurrence
from problems.engine.runtime.errors import ConfigError

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


@pytest.fixture(params=["onnx", "torch_export"])
def kind(request):
    if request.param == "onnx":
        pytest.importorskip("onnxscript", reason="pip install 'soundstage[onnx]'")
        pytest.importorskip("onnxruntime", reason="pip install 'soundstage[onnx]'")
    return request.param


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same_as_a_program(name, kind, tmp_path):
    torch.manual_seed(0)
    model, path = Recurrent(LAYERS[name]()).eval(), tmp_path / "model"
    waves = [torch.randn(length) for length in (1, 3, 50, 51, 400)]
    result = onnx.write(model, path, kind, waves[2:3])
    assert result.difference < 1e-5
    program = onnx.load_onnx(path) if kind == "onnx" else onnx.load_program(path)
    for batch in [wave[None] for wave in waves] + [torch.randn(3, 70)]:
        lengths = torch.tensor([batch.shape[1]] * len(batch))
        assert torch.allclose(program(batch, lengths)[0], model(batch, lengths)[0], atol=1e-5)


def test_a_model_without_recurrence_is_not_copied_and_one_with_it_is_left_as_it_is():
    plain, recurrent = nn.Linear(2, 2), nn.Sequential(nn.LSTM(2, 2))
    assert with_recurrence(plain, scanned) is plain
    assert with_recurrence(recurrent, scanned) is not recurrent and isinstance(recurrent[0], nn.LSTM)
    assert "forward" not in vars(recurrent[0])


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
def test_what_has_one_length_only_is_refused_with_the_reason(model, reason, kind, tmp_path):
    with pytest.raises(ConfigError, match=f"torch cannot export this model: .*{reason}"):
        onnx.write(model.eval(), tmp_path / "model", kind, [torch.randn(40)])
    assert not list(tmp_path.iterdir())
