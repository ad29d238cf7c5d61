"""Losses that train speaker embeddings, by name. Importing this does not import torch.

Every loss is a module ``loss(x (B, D), label int64 (B,), share=1.0) -> losses (B,)`` with one value per utterance,
built with the arguments ``input_size`` (D) and ``num_classes``. ``share`` in [0, 1] scales its margin. All are
computed in float32, for embeddings of any type and under autocast.
"""

LOSSES = {
    "softmax": "nn.losses.margin:Softmax",
    "amsoftmax": "nn.losses.margin:AMSoftmax",
    "aamsoftmax": "nn.losses.margin:AAMSoftmax",
    "ge2e": "nn.losses.ge2e:GE2E",
}
