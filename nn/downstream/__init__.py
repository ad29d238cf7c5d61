"""Downstream models by name. Importing this loads nothing heavy.

Every downstream is a module ``downstream(x (B, T, H), x_len (B,)) -> (y, y_len)`` built with ``input_size``
and ``output_size`` first. Frame-level ones return y (B, T'', output_size) with its lengths, and have
``downsample_rate``, input frames per output frame; utterance-level ones return y (B, output_size) with
lengths of one. One that gives for the mean of an utterance's frames, as one frame, what it gives for the frames says
``commutes_with_mean = True``: of a frozen upstream only means are then kept.
"""

DOWNSTREAMS = {
    "rnn": "nn.downstream.rnn:RNNEncoder",
    "frame_linear": "nn.downstream.linear:FrameLinear",
    "mean_pool_linear": "nn.downstream.linear:MeanPoolLinear",
    "tdnn": "nn.downstream.tdnn:TDNN",
    "xvector": "nn.downstream.xvector:XVector",
    "ecapa": "nn.downstream.ecapa:ECAPA",
}
