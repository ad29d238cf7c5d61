"""Downstream models by name. Importing this does not import torch.

Every downstream is a module ``downstream(x (B, T, H), x_len (B,)) -> (y, y_len)``, built with the arguments
``input_size`` and ``output_size``, and with ``input_stride``, samples from one frame to the next, if it takes that.

A frame-level one returns y (B, T'', output_size) with its lengths and has the attribute ``downsample_rate``, input
frames per output frame. An utterance-level one returns y (B, output_size) with lengths of one. If it gives embeddings
of a size of its own, its attribute ``output_size`` is that. It declares ``commutes_with_mean = True`` if the mean of an
utterance's frames, as its only frame, gives the same output; of a frozen upstream only means are then cached. One whose
layers join neighbouring frames may declare ``context``, how many: the first screen warns where an upstream's frames are
too long for that.
"""

DOWNSTREAMS = {
    "auto": "nn.downstream.auto:auto",
    "rnn": "nn.downstream.rnn:RNNEncoder",
    "conformer": "nn.downstream.conformer:Conformer",
    "frame_linear": "nn.downstream.linear:FrameLinear",
    "mean_pool_linear": "nn.downstream.linear:MeanPoolLinear",
    "mean_pool_adapter": "nn.downstream.linear:MeanPoolAdapter",
    "frame_mlp": "nn.downstream.mlp:FrameMLP",
    "mean_pool_mlp": "nn.downstream.mlp:MeanPoolMLP",
    "tdnn": "nn.downstream.tdnn:TDNN",
    "xvector": "nn.downstream.xvector:XVector",
    "ecapa": "nn.downstream.ecapa:ECAPA",
    "none": "nn.downstream.none:NoHead",
}
