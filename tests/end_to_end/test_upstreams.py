"""Encoders by name in a config, through a whole run: frozen, fine-tuned in part, with adapters; refused settings."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.parts.processes import finish, launch

SCHEDULE = "{start_step: 2, steps_per_layer: 3}"


@pytest.fixture
def folder(tmp_path):
    """A narrow HuBERT with random weights as Hugging Face saves it."""
    transformers = pytest.importorskip("transformers", reason="pip install 'soundstage[hf]'")
    torch.manual_seed(0)
    conf = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    conf |= {"conv_dim": [16] * 3, "conv_kernel": [10, 8, 4], "conv_stride": [8, 5, 4], "num_feat_extract_layers": 3}
    config = transformers.HubertConfig(**conf, num_conv_pos_embedding_groups=4)
    transformers.HubertModel(config).save_pretrained(tmp_path / "model")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ([], set()),
        (
            ["--build_model.upstream_trainable=[2]", "--build_model.finetune={layer_drop: 0.1, time_mask_prob: .3}"],
            {2},
        ),
        (["--build_model.upstream_trainable=true", "--build_model.finetune={lora_rank: 2}"], {1, 2}),
    ],
)
def test_an_encoder_of_hugging_face_through_a_whole_run(folder, tiny, tmp_path, options, saved):
    if "lora" in str(options):
        pytest.importorskip("peft")
    plain = [o for o in tiny if not o.startswith("--build_upstream")]
    upstream = ["--build_upstream.name=hf", f"--build_upstream.conf.model={folder}"]
    assert execute(ASR(), ["run", *plain, *upstream, *options]) == 0
    checkpoint = tmp_path / "run" / "train" / "step_00000008"
    model = ASR().load_model(str(checkpoint / "model"))
    weights = [
        k.removeprefix("upstream.")
        for k in load_file(checkpoint / "model" / "weights.safetensors")
        if k.startswith("upstream.")
    ]
    assert {model.upstream.layer_of(name) for name in weights} == saved
    assert all(".lora_" in name for name in weights) == ("lora" in str(options) or not saved)
    assert set(model.featurizer.weight_by_layer()) == {0, 1, 2}


def test_a_fine_tuning_schedule_with_layer_decay_resumes_exactly(folder, tiny, tmp_path):
    """An interrupted and resumed run ends with the same weights; layers train from their step on, at their rates."""
    plain = [o for o in tiny if not o.startswith(("--build_upstream", "--target_dir", "--build_downstream"))]
    options = [
        *plain,
        "--build_upstream.name=hf",
        f"--build_upstream.conf.model={folder}",
        "--stop=2",
        "--build_optimizer.name=SGD",
        "--build_optimizer.layer_decay=0.5",
        "--build_downstream.name=frame_linear",
        "--build_model.upstream_trainable=true",
        f"--build_model.finetune={SCHEDULE}",
    ]
    assert execute(ASR(), ["run", *options, f"--target_dir={tmp_path / 'whole'}"]) == 0
    assert execute(ASR(), ["run", *options, f"--target_dir={tmp_path / 'cut'}", "--train.total_steps=4"]) == 0
    assert execute(ASR(), ["run", *options, f"--target_dir={tmp_path / 'cut'}"]) == 0
    whole, cut = (tmp_path / name / "train" / "step_00000008" for name in ("whole", "cut"))
    weights = load_file(whole / "model" / "weights.safetensors")
    assert all(torch.equal(weights[k], v) for k, v in load_file(cut / "model" / "weights.safetensors").items())
    early = load_file(whole.with_name("step_00000004") / "model" / "weights.safetensors")
    upstream = ASR().load_model(str(whole / "model")).upstream
    moved = {
        upstream.layer_of(k.removeprefix("upstream."))
        for k in weights
        if not torch.equal(weights[k], early[k]) and k.startswith("upstream.")
    }
    assert moved == {1, 2}
    groups = torch.load(whole / "training.pt", weights_only=True)["optimizers"][0]["optimizer"]["param_groups"]
    assert sorted(g["lr"] / 0.01 for g in groups) == pytest.approx([0.125, 0.25, 0.5, 1.0])


@pytest.mark.parametrize(
    ("parallel", "finetune"),
    [("ddp", "{layer_drop: 0.3, activation_checkpointing: true}"), ("ddp", "{lora_rank: 2}"), ("ddp", SCHEDULE),
     ("fsdp", "{activation_checkpointing: true}"), ("fsdp", "{lora_rank: 2}")],
)  # fmt: skip
def test_two_processes_fine_tune_an_encoder_alike_however_they_sum(folder, tiny, tmp_path, parallel, finetune):
    if "lora" in finetune:
        pytest.importorskip("peft")
    plain = [o for o in tiny if not o.startswith(("--build_upstream", "--target_dir", "--build_downstream"))]
    options = [
        *plain, "--build_upstream.name=hf", f"--build_upstream.conf.model={folder}", "--stop=2", "--nproc=2",
        "--build_optimizer.name=SGD", "--build_downstream.name=frame_linear", "--build_model.upstream_trainable=true",
        f"--build_model.finetune={finetune}",
    ]  # fmt: skip
    for name in ("sum", parallel):
        finish(launch(tmp_path / name, options, f"--train.parallel={name}"))
    one, other = (
        load_file(tmp_path / name / "train" / "step_00000008" / "model" / "weights.safetensors")
        for name in ("sum", parallel)
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--build_optimizer.layer_decay=0.5"], "layer_decay: this upstream has no numbered layers"),
        (["--build_upstream.name=hubert_bas"], "hubert_base"),
        (["--build_upstream.name=hf"], "conf.model is missing"),
        (["--build_upstream.name=wav2vec2_base", "--build_upstream.conf.checkpoint=/none.pth"], "no file /none.pth"),
        (["--build_model.upstream_trainable=some"], "upstream_trainable"),
        (["--build_model.upstream_trainable=[3]"], "no numbered layers"),
        (["--build_model.finetune={layer_dorp: 0.1}", "--build_model.upstream_trainable=true"], "layer_dorp"),
    ],
)
def test_wrong_settings_end_the_run_with_a_message_and_no_traceback(tiny, capfd, options, words):
    plain = [o for o in tiny if not (o.startswith("--build_upstream") and "build_upstream" in str(options))]
    assert execute(ASR(), ["run", *plain, *options]) == 2
    message = capfd.readouterr().err
    assert words in message and "Traceback" not in message
