"""README and docs show what works: code runs as files, command lines are understood, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

import problems
from dataset.corpora.manifests.writers import WRITERS
from dataset.metadata import read_csv
from nn.upstream import UPSTREAMS
from problems.__main__ import main as problems_main
from problems.asr import ASR
from problems.base import Problem
from problems.engine.cli.arguments import parse
from problems.engine.cli.commands.fit import OPTIONS as FIT_OPTIONS
from problems.engine.cli.commands.pack import OPTIONS as PACK_OPTIONS
from problems.engine.cli.main import execute
from problems.engine.cli.verbs import VERBS
from tests.conftest import ROOT
from tests.parts import python

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN_OPTIONS = {"pack": PACK_OPTIONS, "fit": FIT_OPTIONS}
"""Options of verbs that take the keys of the config too."""
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


def code(page: str) -> dict[str, str]:
    """The code blocks of a page by the name of the file that the text before each gives."""
    blocks = re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", TEXTS[page], re.S)
    return dict(blocks)


def commands() -> list[tuple[str, str]]:
    """Every indented command line, with its page; a line that ends in a backslash goes on."""
    found = []
    for page, text in TEXTS.items():
        for line in re.findall(r"^    (\S.*)$", re.sub(r"\\\n +", "", text), re.M):
            line = line.removeprefix(".venv/bin/")
            if line.startswith("python "):
                found.append((page, line))
    return found


def options(tiny: list[str]) -> list[str]:
    return [o for o in tiny if not o.startswith(("--prepare_data", "--build_downstream", "--target_dir"))]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return python.run(command, cwd=folder, env=environment)


def write_pairs(tones: Path, folder: Path) -> None:
    """The utterances of the tones as pairs of a wav and a txt."""
    import csv

    folder.mkdir()
    for name in ("train", "valid", "test"):
        with open(tones / f"{name}.csv", newline="") as file:
            for row in csv.DictReader(file):
                (folder / f"{row['id']}.wav").write_bytes(Path(row["wav_path"]).read_bytes())
                (folder / f"{row['id']}.txt").write_text(row["transcription"] + "\n")


def test_the_pages_hold_what_is_tested_here():
    assert list(code("docs/extend.md")) == ["my_asr.py", "folder_asr.py", "sounds.py", "tags.py"]
    assert list(code("docs/data.md")) == ["my_parts.py"]
    assert list(code("docs/upstreams.md")) == ["my_upstream.py"]
    assert len(commands()) > 18
    assert len(TEXTS["README.md"].splitlines()) < 150


def test_each_example_of_extending_is_under_30_lines():
    for name, text in code("docs/extend.md").items():
        assert len(text.splitlines()) < 30, name


def test_the_example_with_a_model_of_ones_own_trains_and_predicts(tiny, tones, tmp_path):
    (tmp_path / "my_asr.py").write_text(code("docs/extend.md")["my_asr.py"])
    data = [f"--prepare_data.{name}={tones / name}.csv" for name in ("train", "valid", "test")]
    done = run(tmp_path, "my_asr.py", "run", *options(tiny), "--prepare_data.corpus=csv", *data)
    assert done.returncode == 0, done.stderr
    assert "wer" in done.stdout and (tmp_path / "result/myasr/default/report/report.html").exists()
    wav = tones / "test" / "u000.wav"
    done = run(tmp_path, "my_asr.py", "predict", "--ckpt", "result/myasr/default", str(wav))
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"{wav}\t")
    load = f"import problems, my_asr; problems.load('result/myasr/default', problem=my_asr.MyASR).predict({str(wav)!r})"
    assert run(tmp_path, "-c", load).returncode == 0
    other = run(tmp_path, "-m", "problems.asr", "predict", "--ckpt", "result/myasr/default", str(wav))
    assert other.returncode == 1 and "MyASR" in other.stderr and "my_asr.py" in other.stderr


def test_the_example_with_data_of_ones_own_trains_and_predicts(tiny, tones, tmp_path, monkeypatch, capfd):
    (tmp_path / "folder_asr.py").write_text(code("docs/extend.md")["folder_asr.py"])
    write_pairs(tones, tmp_path / "my recordings")
    small = [o for o in tiny if o.startswith("--build_downstream")]
    command = ["folder_asr.py", "run", *options(tiny), *small, "--prepare_data.folder", "my recordings"]
    done = run(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    target = tmp_path / "result/folderasr/default"
    sizes = [len(read_csv(target / f"data/{name}.csv", ("id",))) for name in ("train", "valid", "test")]
    assert sizes == [28, 3, 3]
    wav = next((tmp_path / "my recordings").glob("*.wav"))
    done = run(tmp_path, "folder_asr.py", "predict", "--ckpt", str(target), str(wav))
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"{wav}\t")
    monkeypatch.chdir(tmp_path)  # the rest in this process, which has torch already
    problem = runpy.run_path("folder_asr.py")["FolderASR"]()
    capfd.readouterr()
    assert execute(problem, ["run"]) == 2 and "prepare_data.folder: must be given" in capfd.readouterr().err
    (tmp_path / "my recordings" / "late.wav").write_bytes(b"")
    (tmp_path / "my recordings" / "late.txt").write_text("ba")
    assert execute(problem, [*command[1:], "--start=0", "--stop=0"]) == 1
    said = capfd.readouterr().err
    assert "late.wav" in said and "Traceback" not in said


def test_the_example_of_a_corpus_runs_and_sees_new_files(tiny, tones, tmp_path, monkeypatch, capfd):
    (tmp_path / "my_pairs.py").write_text(code("docs/data.md")["my_parts.py"])
    write_pairs(tones, tmp_path / "pairs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    corpus = ["--prepare_data.corpus=my_pairs:Pairs", "--prepare_data.folder=pairs", "--stop=0"]

    def said(*more: str, code: int = 0) -> str:
        capfd.readouterr()
        assert execute(ASR(), ["run", *options(tiny), *corpus, *more]) == code
        return capfd.readouterr().err

    assert "stage 0" in said()
    assert "done and fresh" in said()
    soundfile.write(tmp_path / "pairs" / "new.wav", [0.0] * 16000, 16000)
    (tmp_path / "pairs" / "new.txt").write_text("ba")
    assert "stage 0" in said()
    assert "at most 0.5" in said("--prepare_data.test_fraction=0.9", code=2)


@pytest.mark.parametrize("name", ["my_loop.py", "my_callback.py"])
def test_the_hooks_of_the_training_page_run(name, tiny, tmp_path, capfd):
    (tmp_path / name).write_text(code("docs/training.md")[name])
    problem = runpy.run_path(str(tmp_path / name))["MyASR"]()
    assert execute(problem, ["run", *tiny, "--stop=2"]) == 0
    assert ("valid: " in capfd.readouterr().out) == (name == "my_callback.py")


def test_the_settings_of_the_training_page_exist(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", TEXTS["docs/training.md"], re.S)
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block)
        assert execute(ASR(), ["config", "--config", str(tmp_path / f"{number}.yaml")]) == 0
    known = ASR().default_config()["train"].keys()
    assert {k for k in re.findall(r"`train\.(\w+)", TEXTS["docs/training.md"])} <= known
    assert len(blocks) == 2


def test_every_test_that_a_table_names_is_there():
    for file, name in re.findall(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`", TEXTS["docs/coming_from.md"]):
        path = ROOT / "tests" / file.replace("engine/", "problems/engine/")
        assert f"def {name}(" in path.read_text() if name else path.exists(), (file, name)


def test_the_example_of_a_problem_of_labels_learns_folders(tmp_path, monkeypatch, capfd):
    (tmp_path / "sounds.py").write_text(code("docs/extend.md")["sounds.py"])
    assert len(code("docs/extend.md")["sounds.py"].splitlines()) == 9
    time = np.arange(8000) / 16000
    for label, hertz in (("drill", 500), ("saw", 1500)):
        for number in range(20):
            path = tmp_path / "my_sounds" / label / ("monday" if number < 4 else "") / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = 0.01 * np.random.default_rng(number).standard_normal(8000)
            soundfile.write(path, 0.3 * (time > 0.2) * np.sin(2 * np.pi * hertz * time) + noise, 16000)
    monkeypatch.chdir(tmp_path)
    problem = runpy.run_path("sounds.py")["Sounds"]()
    small = ["--num_workers=0", "--cache_dir=cache", "--train.total_steps=40", "--train.eval_step=20"]
    small += ["--build_downstream.conf.channels=[16]", "--train.use_scheduler=false", "--build_optimizer.conf.lr=0.01"]
    small += ["--build_batch_sampler.train.batch_size=8"]
    assert execute(problem, ["run", "--prepare_data.dataset_root=my_sounds", *small]) == 0
    (result,) = (tmp_path / "result/sounds/default/evaluate").glob("*/test/result.json")
    assert json.loads(result.read_text())["metrics"]["accuracy"] == 1
    capfd.readouterr()
    assert execute(problem, ["predict", "--ckpt", "result/sounds/default", "my_sounds/saw/9.wav"]) == 0
    assert capfd.readouterr().out == "my_sounds/saw/9.wav\tsaw\n"


def test_the_example_of_an_upstream_trains_and_keeps_to_its_interface(tiny, tmp_path, monkeypatch):
    (tmp_path / "my_upstream.py").write_text(code("docs/upstreams.md")["my_upstream.py"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    plain = [o for o in tiny if not o.startswith("--build_upstream")]
    assert execute(ASR(), ["run", *plain, "--build_upstream.name=my_upstream:Filters", "--stop=2"]) == 0
    import torch
    from my_upstream import Filters

    wav, wav_len = torch.randn(3, 3000), torch.tensor([3000, 1000, 5])
    states, lengths = Filters()(wav, wav_len)
    alone, _ = Filters()(wav[1:2, :1000], wav_len[1:2])
    assert lengths[0].tolist() == [17, 4, 0] and len(states) == len(lengths) == Filters.num_layers
    torch.testing.assert_close(states[1][1:2, :4], alone[1])


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda text: text[:60])
def test_every_command_line_that_is_shown_is_understood(page, line, tmp_path, monkeypatch, capsys):
    for own in ("docs/extend.md", "docs/data.md", "docs/upstreams.md", "docs/cookbook.md"):
        for name, text in code(own).items():
            (tmp_path / name).write_text(text)
    parts = code("docs/extend.md")["my_asr.py"].partition("class MyASR")[0] + code("docs/data.md")["my_parts.py"]
    (tmp_path / "my_parts.py").write_text(
        "from __future__ import annotations\n"
        + parts.replace("from __future__ import annotations\n", "")
        + "\n\nclass MyUpstream(torch.nn.Module):\n    pass\n\n\nMyCorpus = Pairs\n\n"
        + "@dataclasses.dataclass\nclass MyCorpus(Pairs):\n    folder: str = setting('x', 'a folder')\n"
    )
    (tmp_path / "my.yaml").write_text("train: {total_steps: 5}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = shlex.split(line, comments=True)
    if words[1:4] == ["-m", "problems", "compare"]:
        assert problems_main(words[3:]) == 2
        assert "holds no report/results.json" in capsys.readouterr().err  # understood; there is no such run here
        return
    if words[1:4] == ["-m", "problems", "upstream"]:
        assert problems_main(words[3:]) == 0
        return
    if words[1:3] == ["-m", "problems"] and words[3] in ("superb", "sweep", "run"):
        from problems.benchmark import superb, sweep
        from problems.benchmark.grids import grid

        (tmp_path / "grid.yaml").write_text(re.search(r"```yaml\n(.*?)```", TEXTS["docs/benchmark.md"], re.S)[1])
        for module in (grid, superb, sweep):
            monkeypatch.setattr(module, "_run", lambda *options, **settings: 0)
        monkeypatch.setattr(superb, "_write", lambda *options: None)
        monkeypatch.setattr(superb.plan, "lines_of", lambda *_, **__: [])
        assert problems_main(words[3:]) == 0
        return
    if words[1:4] == ["-m", "problems", "results"]:
        assert problems_main(words[3:]) in (1, 2)
        missing = "has no results of superb|cannot read|has no .json|no such file"
        assert re.search(missing, capsys.readouterr().err)  # understood; there are no such files here
        return
    if words[1] == "-m":
        problem = problems.get(words[2].removeprefix("problems."))()
    else:
        (name,) = re.findall(r"^    (\w+)\(\)\.main\(\)$", (tmp_path / words[1]).read_text(), re.M)
        problem = runpy.run_path(words[1])[name]()
    verb, *rest = words[3:] if words[1] == "-m" else words[2:]
    assert verb in (*VERBS, "--help")
    takes_files = verb in VERBS and VERBS[verb].options is not None
    if takes_files:
        arguments = parse(rest, flags=VERBS[verb].flags, options=VERBS[verb].options)
        assert dict(arguments.overrides)["ckpt"] and (arguments.files or verb in ("serve", "test"))
    else:
        if verb == "manifest":
            own = {name: rest.pop(rest.index(name) + 1) for name in ("--to", "--out")}
            assert own["--to"] in WRITERS
            rest = [word for word in rest if word not in own]
        if verb in OWN_OPTIONS:
            own = {f"--{option}" for option in OWN_OPTIONS[verb]}
            assert {*rest[::2]} & own
            pairs = [pair for pair in zip(rest[::2], rest[1::2]) if pair[0] not in own]
            rest = [word for pair in pairs for word in pair]
        known = [] if "hubert_base" in UPSTREAMS or "superb" not in rest else ["--build_upstream.name=fbank"]
        assert execute(problem, [verb] if verb == "--help" else ["config", *rest, *known]) == 0


def test_links_lead_to_files_and_headings_that_exist():
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("http"):
                continue
            name, _, heading = target.partition("#")
            path = (ROOT / page).parent / name if name else ROOT / page
            assert path.exists(), f"{page}: {target}"
            if not heading:
                continue
            headings = [
                re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
                for h in re.findall(r"^#+ (.*)$", path.read_text(), re.M)
            ]
            assert heading in headings, f"{page}: {target}"


def test_the_table_of_methods_is_that_of_the_code():
    import inspect

    text = TEXTS["docs/extend.md"]
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([^|]*)\|", text, re.M))
    for name, arguments in rows.items():
        assert hasattr(ASR, name), name
        if not arguments.strip().startswith("`"):
            continue
        owner = Problem if name == "build_task" else ASR  # whose task also takes a language model
        parameters = list(inspect.signature(getattr(owner, name)).parameters.values())[1:]
        named = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters if p.name != name]
        assert arguments.strip().strip("`").split(", ") == named, name
    shown = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*)\|", text, re.M))))
    public = {n for n, _ in inspect.getmembers(ASR, inspect.isfunction) if not n.startswith("_")}
    assert public - shown == {"main", "run", "load_model_and_task", "corpus", "get_class_from_name"}
