"""Parts that a config names: their registries load without torch, and their arguments are documented."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from problems.engine.config.registry import describe, load_class

ROOT = Path(__file__).resolve().parents[2]
REGISTRIES = {"nn.upstream": "UPSTREAMS", "nn.downstream": "DOWNSTREAMS", "nn.losses": "LOSSES"}
OTHERS = [
    "nn.featurizer:Featurizer",
    "nn.specaug:SpecAugment",
    "nn.finetune.schedule:FineTuning",
    "nn.finetune.span_mask:SpanMask",
    "nn.model:UpstreamDownstreamModel",
    "nn.transformer_decoder:TransformerDecoder",
]
TARGETS = {
    target for module, name in REGISTRIES.items() for target in getattr(importlib.import_module(module), name).values()
} | set(OTHERS)


def test_registries_load_without_torch():
    code = (
        f"import sys, nn, {', '.join(REGISTRIES)}; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'torchaudio', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_setting_has_a_meaning_a_type_and_a_literal_default(target):
    for setting in describe(target):
        assert setting.help, setting
        assert setting.type != "Any", setting


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_docstring_lists_the_arguments_in_order(target):
    part = load_class(target)
    arguments = [p.name for p in inspect.signature(part).parameters.values() if p.kind is not p.VAR_KEYWORD]
    if isinstance(part, type) and "__init__" not in vars(part):
        return  # its base documents them
    block = f"{inspect.getdoc(part)}\n\n".partition("Args:\n")[2].split("\n\n")[0]
    assert [line.strip().split(": ")[0] for line in block.splitlines() if line.strip()] == arguments
