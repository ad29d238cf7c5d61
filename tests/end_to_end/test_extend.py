"""A problem made one's own: what is overridden acts, is known on the command line, and is seen when it changes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

import problems
from dataset.storage.files import read_json
from problems.asr import ASR
from problems.base import Problem
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import ConfigError
from tests.conftest import WORDS

HEAD = """
import torch
from problems.asr import ASR

class Head(torch.nn.Module):
    def __init__(self, input_size: int, output_size: int, width: int = 8):
        '''
        Args:
            width: units of the hidden layer
        '''
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(input_size, width), torch.nn.Linear(width, output_size))

    def forward(self, x, x_len):
        return self.layers(x), x_len

class HeadASR(ASR):
    def build_downstream(
        self, build_downstream, downstream_input_size, downstream_output_size, downstream_input_stride
    ):
        return Head(downstream_input_size, downstream_output_size)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a user's module and import it anew."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(text: str, name: str = "users_parts"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        made = importlib.util.module_from_spec(spec)
        import linecache
        import sys

        linecache.checkcache()
        sys.modules[name] = made
        spec.loader.exec_module(made)
        return made

    yield load
    import sys

    sys.modules.pop("users_parts", None)


def without(options, *prefixes):
    return [o for o in options if not o.startswith(prefixes)]


def test_an_overridden_head_is_trained_saved_and_loaded(tiny, tmp_path, module):
    users = module(HEAD)
    assert execute(users.HeadASR(), ["run", *tiny]) == 0
    model = problems.load(str(tmp_path / "run"), problem=users.HeadASR).model
    assert type(model.downstream).__name__ == "Head"
    assert read_json(tmp_path / "run" / "env.json")["device"].partition(":")[0] in ("cpu", "cuda")
    assert list((tmp_path / "run" / "evaluate").glob("*/test/result.json"))


def test_an_edit_of_an_overridden_method_is_seen_and_the_training_is_not_continued(tiny, module, capfd):
    assert execute(module(HEAD).HeadASR(), ["run", *tiny, "--stop=2"]) == 0
    capfd.readouterr()
    assert execute(module(HEAD).HeadASR(), ["run", *tiny, "--stop=2"]) == 0
    assert "done and fresh" in capfd.readouterr().err
    edited = module(HEAD.replace("downstream_output_size)\n", "downstream_output_size, width=9)\n"))
    assert execute(edited.HeadASR(), ["run", *tiny, "--stop=2"]) == 2
    assert "the code of build_downstream changed" in capfd.readouterr().err
    assert execute(edited.HeadASR(), ["run", *tiny, "--stop=2", "--fresh"]) == 0


def test_a_part_by_its_class_path_has_its_settings_known(tiny, tmp_path, module, capfd):
    module(HEAD)
    options = without(tiny, "--build_downstream")
    name = "--build_downstream.name=users_parts:Head"
    assert execute(ASR(), ["run", *options, name, "--build_downstream.conf.width=5"]) == 0
    assert problems.load(str(tmp_path / "run")).model.downstream.layers[0].out_features == 5
    capfd.readouterr()
    assert execute(ASR(), ["run", *options, name, "--build_downstream.conf.widht=5"]) == 2
    assert "build_downstream.conf.width" in capfd.readouterr().err
    assert execute(ASR(), ["run", *options, "--build_downstream.name=users_parts:Haed"]) == 2
    assert "Haed" in capfd.readouterr().err


def test_an_edit_of_a_named_part_is_seen_and_the_training_is_not_continued(tiny, module, capfd):
    module(HEAD)
    options = [*without(tiny, "--build_downstream"), "--build_downstream.name=users_parts:Head", "--stop=2"]
    assert execute(ASR(), ["run", *options]) == 0
    capfd.readouterr()
    assert execute(ASR(), ["run", *options]) == 0
    assert "done and fresh" in capfd.readouterr().err
    module(HEAD.replace("Linear(width, output_size)", "Linear(width, output_size, bias=False)"))
    assert execute(ASR(), ["run", *options]) == 2
    assert "the code of users_parts:Head changed" in capfd.readouterr().err


def test_a_key_of_a_subclass_is_known_typed_by_its_default_and_in_the_help(tiny, capfd):
    seen = []

    class Wide(ASR):
        def default_config(self):
            config = super().default_config()
            config["build_downstream"]["kernel"] = 5
            config["build_task"]["anything"] = None
            return config

        def build_downstream(self, build_downstream, *sizes):
            seen.append(build_downstream["kernel"])
            return super().build_downstream(build_downstream, *sizes)

        def build_task(self, build_task, model, encoder):
            given = {k: v for k, v in build_task.items() if k != "anything"}
            return super().build_task(given, model, encoder)

    assert execute(Wide(), ["--help"]) == 0
    assert "--build_downstream.kernel 5" in capfd.readouterr().out
    assert execute(Wide(), ["run", *tiny, "--build_downstream.kernel=7", "--build_task.anything={a: 1}"]) == 0
    assert set(seen) == {7}
    capfd.readouterr()
    assert execute(Wide(), ["run", *tiny, "--build_downstream.kernel=wide"]) == 2
    assert "a whole number" in capfd.readouterr().err
    assert execute(ASR(), ["run", *tiny, "--build_downstream.kernel=7"]) == 2


def test_a_key_to_be_given_is_asked_for(capfd, tmp_path):
    class Needy(ASR):
        def default_config(self):
            config = super().default_config()
            config["prepare_data"]["folder"] = "???"
            return config

    assert execute(Needy(), ["run", f"--target_dir={tmp_path}"]) == 2
    assert "prepare_data.folder: must be given" in capfd.readouterr().err
    assert execute(Needy(), ["config"]) == 0
    assert "folder: ???" in capfd.readouterr().out  # to be edited


def test_a_subclass_inherits_presets_and_has_its_own_target(capfd):
    class Heir(ASR):
        pass

    assert execute(Heir(), ["config", "--config", "fsdd", "--prepare_data.dataset_root=x"]) == 0
    text = capfd.readouterr().out
    assert "connected_digits" in text and "result/heir/fsdd" in text


def test_a_class_is_found_by_its_name_once_it_is_defined():
    class FoundByName(ASR):
        pass

    assert Problem.get_class_from_name("FoundByName") is FoundByName
    assert Problem.get_class_from_name("ASR") is ASR
    with pytest.raises(Exception, match="Nobody"):
        Problem.get_class_from_name("Nobody")


def test_run_from_python_takes_sections_as_dicts(tones, tmp_path):
    where = {"target_dir": str(tmp_path / "run"), "cache_dir": str(tmp_path / "cache"), "num_workers": 0}
    data = {"corpus": "csv", **{name: str(tones / f"{name}.csv") for name in ("train", "valid", "test")}}
    ASR().run(**where, prepare_data=data, train={"total_steps": 2}, build_downstream={"conf": {"hidden_size": [8]}})
    assert (tmp_path / "run" / "report" / "results.json").exists()
    with pytest.raises(ConfigError, match="train.total_stepz"):
        ASR().run(**where, prepare_data=data, train={"total_stepz": 2})


def test_a_users_task_with_its_own_loss_and_metric(tiny, tmp_path):
    from tasks.base import StepOutput, Task

    class Counting(Task):
        """The number of words of an utterance, by a regression on the mean frame."""

        def forward(self, mode, **batch):
            y, y_len = self.model(wav=batch["wav"], wav_len=batch["wav_len"])
            count = y[..., 0].mean(dim=1)
            wanted = torch.tensor([float(len(text.split())) for text in batch["text"]])
            records = {"id": batch["id"], "off": (count - wanted).abs().tolist() if mode != "train" else []}
            return StepOutput((count - wanted).square().mean(), len(wanted), records if mode != "train" else {})

        def reduction(self, mode, records):
            return {"off": sum(records["off"]) / len(records["off"])}

        def predict(self, wav, wav_len):
            return [round(float(y)) for y in self.model(wav=wav, wav_len=wav_len)[0][..., 0].mean(dim=1)]

    class CountASR(ASR):
        def default_config(self):
            config = super().default_config()
            config["train"] |= {"valid_metric": "off"}
            return config

        def build_task(self, build_task, model, encoder):
            return Counting(model)

    assert execute(CountASR(), ["run", *tiny]) == 0
    (path,) = (tmp_path / "run" / "evaluate").glob("*/test/result.json")
    assert set(json.loads(path.read_text())["metrics"]) == {"off"}
    count = problems.load(str(tmp_path / "run"), problem=CountASR).predict(torch.randn(16000))
    assert str(count).lstrip("-").isdigit()


def test_metadata_of_ones_own_need_no_corpus(tiny, tones, tmp_path):
    class Own(ASR):
        def prepare_data(self, prepare_data, target_dir, cache_dir, get_path_only=False):
            paths = [Path(target_dir) / "data" / f"{name}.csv" for name in ("train", "valid", "test")]
            if not get_path_only:
                paths[0].parent.mkdir(parents=True, exist_ok=True)
                for path in paths:
                    lines = (tones / path.name).read_text().splitlines()
                    rows = [f"{lines[0]},seconds", *(f"{line},0.5" for line in lines[1:])]
                    path.write_text("\n".join(rows) + "\n")
            return str(paths[0]), str(paths[1]), [str(paths[2])]

    assert execute(Own(), ["run", *without(tiny, "--prepare_data")]) == 0
    symbols = json.loads((tmp_path / "run" / "encoder" / "encoder.json").read_text())["symbols"]
    assert set(symbols[2:]) == set("".join(WORDS) + " ")


def test_sections_of_overridden_builders_are_not_checked_against_our_names(tiny, tmp_path):
    class Own(ASR):
        def build_optimizer(self, build_optimizer, parameters):
            assert build_optimizer["name"] == "mine"
            return torch.optim.SGD(parameters, lr=build_optimizer["conf"].pop("rate"))

        def build_scheduler(self, build_scheduler, optimizer):
            assert build_scheduler["name"] == "halve" and build_scheduler["conf"] == {"after": 2}
            return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

        def build_upstream(self, build_upstream):
            assert build_upstream["name"] == "ours"
            return super().build_upstream({"name": "fbank", "conf": {"num_mel_bins": build_upstream["conf"]["bins"]}})

    own = [
        "--build_optimizer={name: mine, conf: {rate: 0.01}}",
        "--build_scheduler={name: halve, conf: {after: 2}}",
        "--build_upstream={name: ours, conf: {bins: 20}}",
        "--train.use_scheduler=true",
    ]
    options = without(tiny, "--build_upstream", "--build_optimizer", "--train.use_scheduler")
    assert execute(Own(), ["run", *options, *own, "--stop=2"]) == 0
    assert (tmp_path / "run" / "train" / "step_00000008").is_dir()
    assert execute(ASR(), ["run", *options, *own, "--stop=2"]) == 2


def test_a_signature_that_cannot_work_is_refused_before_any_work(tiny, tmp_path, capfd):
    class Wrong(ASR):
        def build_dataset(self, build_dataset, folder, csv):
            raise AssertionError("never called")

    assert execute(Wrong(), ["run", *tiny]) == 2
    assert "Wrong.build_dataset(build_dataset, folder, csv) cannot be called" in capfd.readouterr().err
    assert not (tmp_path / "run" / "data").exists()


def test_what_is_to_be_kept_beside_model_and_task_is_in_each_checkpoint(tiny, tmp_path):
    extra = ["--save_model.extra_conf={a: 1}", "--save_task.extra_conf={b: 2}", "--stop=2"]
    assert execute(ASR(), ["run", *tiny, *extra]) == 0
    folder = tmp_path / "run" / "train" / "step_00000008"
    assert read_json(folder / "model" / "extra_conf.json") == {"a": 1}
    assert read_json(folder / "task" / "extra_conf.json") == {"b": 2}


ENCODER = """
from dataset.encoders import TextEncoder

class Vowels(TextEncoder):
    name = "vowels"

    @classmethod
    def build(cls, texts, extra=""):
        return cls(["<blank>", "<unk>", *sorted(set("aeiou") | set(extra))])

    def encode(self, text):
        return [self.symbols.index(letter) for letter in text if letter in self.symbols]

    def decode(self, ids):
        return "".join(self.symbols[i] for i in ids if i)
"""


def test_a_label_encoder_as_the_docs_describe_it(tiny, tmp_path, module):
    module(ENCODER)
    named = ["--build_encoder.name=users_parts:Vowels", "--build_encoder.conf.extra=y"]
    assert execute(ASR(), ["run", *tiny, *named, "--stop=3"]) == 0
    task = problems.load(str(tmp_path / "run")).task
    assert type(task.encoder).__name__ == "Vowels" and task.encoder.symbols[2:] == tuple("aeiouy")
