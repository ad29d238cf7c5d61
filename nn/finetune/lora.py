"""Low-rank adapters (Hu et al. 2021) on the linear layers of a transformer, by the library peft."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from nn.upstream.pretrained.base import PretrainedEncoder


def add_adapters(
    upstream: PretrainedEncoder,
    layers: Collection[int],
    rank: int,
    alpha: float,
    dropout: float,
    targets: list[str] | None,
) -> None:
    """Put an adapter on each target module, in place. The model's output does not change at first.

    Args:
        upstream: the encoder.
        layers: numbers of the transformer layers, counted from 1.
        rank: rank of each adapter.
        alpha: an adapter's output is scaled by alpha / rank.
        dropout: dropout on an adapter's input.
        targets: names of ``nn.Linear`` modules in a layer, as q_proj; None: all that can have an adapter.

    Raises:
        ValueError: peft is missing, or a target does not exist or cannot have an adapter.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError(f"adapters need peft ({error}): pip install 'soundstage[peft]'") from error
    candidates = [name for name in _called_linears(upstream) if upstream.layer_of(f"{name}.weight") in layers]
    leaves = {name.rpartition(".")[2] for name in candidates}
    wrong = sorted(set(targets or ()) - leaves)
    if wrong or not candidates:
        raise ValueError(
            f"lora_targets: no adapter can be put on {', '.join(wrong) or 'layers ' + str(sorted(layers))}; expected"
            f" linear layers that the model calls: {', '.join(sorted(leaves)) or 'there are none'}"
        )
    names = [name for name in candidates if targets is None or name.rpartition(".")[2] in targets]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names), upstream)


@torch.no_grad()
def _called_linears(upstream: PretrainedEncoder) -> list[str]:
    """Names of the ``nn.Linear`` modules that a forward pass calls.

    A model may use a linear layer's weight without calling the module; an adapter there would never act.
    """
    names: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, module in upstream.named_modules()
        if isinstance(module, nn.Linear)
    ]
    modes = {module: module.training for module in upstream.modules()}
    device = next(upstream.parameters()).device
    samples = 2 * max(upstream.minimum, upstream.downsample_rates[0])
    upstream.eval()(torch.zeros(1, samples, device=device), torch.tensor([samples], device=device))
    for module, mode in modes.items():
        module.training = mode
    for hook in hooks:
        hook.remove()
    return names
