"""Losses that train speaker embeddings, by name. Importing this loads nothing heavy.

Every loss is a module ``loss(x (B, D), label int64 (B,), share=1.0) -> losses (B,)``, one a training utterance, built
with ``input_size`` (D) and ``num_classes`` first; ``share`` in [0, 1] is the part of its margin that is in force. All
are computed in float32, whatever the embeddings are and under autocast too.
"""

LOSSES = {
    "softmax": "nn.losses.margin:Softmax",
    "amsoftmax": "nn.losses.margin:AMSoftmax",
    "aamsoftmax": "nn.losses.margin:AAMSoftmax",
    "ge2e": "nn.losses.ge2e:GE2E",
}
