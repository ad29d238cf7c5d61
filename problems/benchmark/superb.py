"""``python -m problems superb``: every problem for every encoder, and one table."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dataset.storage.files import sweep, write_json, write_text
from dataset.wording import nearest
from problems.benchmark import plan, table
from problems.benchmark.cells import Cell, Encoder
from problems.benchmark.runs.halving import Halving
from problems.benchmark.runs.jobs import Group, say
from problems.benchmark.runs.trials import run_groups, run_passes
from problems.benchmark.tasks import TASKS
from problems.engine.cli.arguments import number_of, parse
from problems.engine.config import yaml_text
from problems.engine.config.registry import load_class, resolve
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.folder_lock import folder_lock

USAGE = (
    "superb --upstream NAME [--upstream LABEL='{name: NAME, conf: {...}}']... [--config superb|toy] [--problems a,b]"
    " [--learning_rates LIST] [--halving] [--parallel N] [--target_dir DIR] [--baseline LABEL] [--plan] [--quick]"
    " [--[PROBLEM.]KEY VALUE]..."
)
HELP = f"""usage: python -m problems {USAGE}

Every problem of SUPERB for every encoder, and one table. The same command continues, or has only the table to write.

  --upstream NAME          an encoder, or LABEL='{{name: NAME, conf: {{...}}}}'; again for another
  --config superb|toy      SUPERB's presets and corpora, or short trainings on the built-in corpora; by default superb
  --problems a,b           some of the problems; by default all
  --learning_rates LIST    to choose from by validation; by default SUPERB's grid, with toy the preset's rate
  --halving                end the worse trainings of a search early
  --parallel N             processes at a time, each for all learning rates of a search; by default 1
  --target_dir DIR         for the runs; by default result/superb/CONFIG, with --quick result/superb/quick
  --baseline LABEL         the encoder that the paired tests compare with; by default the first
  --plan                   only print what it will take: time, disk, corpora
  --quick                  a part of each training set, and few steps; with --config superb alone
  --[PROBLEM.]KEY VALUE    a setting of all runs, or of one problem: --asr.prepare_data.dataset_root DIR"""
OWN = ("upstream", "problems", "learning_rates", "halving", "parallel", "target_dir", "plan", "baseline", "quick")
TOY: dict[str, tuple[str, ...]] = {
    "pr": ("--train.total_steps=400",),
    "ks": ("--train.total_steps=150",),
    "ic": ("--train.total_steps=200",),
    "sid": ("--train.total_steps=200",),
    "er": ("--train.total_steps=150",),
    "asr": ("--config=toy", "--train.total_steps=500"),
    "qbe": (),
    "sf": ("--train.total_steps=500",),
    "asv": ("--train.total_steps=200",),
    "sd": ("--train.total_steps=300",),
}
"""The words of each problem with ``--config toy``: its corpus and head by default, and a short training.

Trivial models, which are the same for every encoder, are left out.
"""

QUICK: dict[str, tuple[float | None, int]] = {
    "pr": (0.1, 4000),
    "ks": (0.2, 4000),
    "ic": (0.3, 4000),
    "sid": (0.05, 4000),
    "er": (None, 2000),
    "asr": (0.1, 4000),
    "qbe": (None, 0),
    "sf": (0.05, 4000),
    "asv": (0.03, 4000),
    "sd": (0.1, 2000),
}
"""The part of the training set, chosen by a hash of the ids, and the steps of each problem with ``--quick``."""


def superb(words: Sequence[str]) -> int:
    """Run every problem for every encoder; a second call continues, or has nothing to do but the table.

    Returns:
        1 if a run failed; the others go on.

    Raises:
        ConfigError: an option is wrong.
    """
    arguments = parse(words, flags=("plan", "halving", "quick"))
    own = [(key, value) for key, value in arguments.overrides if key in OWN]
    options = dict(own)
    encoders = [encoder_of(value) for key, value in own if key == "upstream"]
    config = arguments.configs[0] if arguments.configs else "superb"
    if not encoders or len(arguments.configs) > 1 or config not in ("superb", "toy"):
        raise ConfigError(f"superb needs encoders, and one config: superb or toy: {USAGE}")
    labels = [encoder.label for encoder in encoders]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"two encoders have the same label: {', '.join(labels)}; write LABEL='{{name: NAME}}'")
    protocol = config if options.get("quick", "false") != "true" else "quick"
    if protocol == "quick" and config == "toy":
        raise ConfigError("--quick is for --config superb: toy is short already")
    root = Path(options.get("target_dir", f"result/superb/{protocol}"))
    rates = _rates(options.get("learning_rates"))
    chosen = _problems(options.get("problems"))
    overrides = [(key, value) for key, value in arguments.overrides if key not in OWN]
    cells = [
        Cell(encoder, TASKS[name], root, _words(name, protocol, overrides), _grid(name, config, rates))
        for name in chosen
        for encoder in encoders
    ]
    if options.get("plan") == "true":
        for line in plan.lines_of(cells, config, is_halving=options.get("halving") == "true"):
            print(line, flush=True)
        return 0
    parallel, baseline = number_of("parallel", options.get("parallel", "1"), 1), options.get("baseline", labels[0])
    if baseline not in labels:
        raise ConfigError(f"--baseline {baseline}{nearest(baseline, labels)}: expected one of {', '.join(labels)}")
    with folder_lock(root):
        sweep(root)
        failed = _run(cells, int(parallel), Halving if options.get("halving") == "true" else None)
        _write(root, cells, protocol, baseline)
    return 1 if failed else 0


def encoder_of(text: str) -> Encoder:
    """An encoder as it is typed: its name, or its label with name and settings.

    Raises:
        ConfigError: it is written otherwise, or unknown.
    """
    label, equals, settings = text.partition("=")
    if not equals:
        resolve(text, load_class("nn.upstream:UPSTREAMS"), "--upstream")
        return Encoder(text.replace(":", "_").replace("/", "_"), text)
    values = yaml_text.load(settings)
    is_right = (
        isinstance(values, Mapping) and isinstance(values.get("name"), str) and not set(values) - {"name", "conf"}
    )
    if not is_right or not isinstance(values.get("conf") or {}, Mapping) or not label:
        raise ConfigError(f"--upstream {text}: expected NAME, or LABEL={{name: NAME, conf: {{...}}}}")
    if label == "logs" or not re.fullmatch(r"\w[^/\\]*", label):
        raise ConfigError(f"--upstream {label}=...: a label names a folder: expected no / and no . first, and not logs")
    resolve(values["name"], load_class("nn.upstream:UPSTREAMS"), f"--upstream {label}")
    return Encoder(label, values["name"], values.get("conf") or {})


def _problems(text: str | None) -> list[str]:
    names = list(TASKS) if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in TASKS:
            hint = f"{nearest(name, TASKS)}; expected some of {', '.join(TASKS)}"
            raise ConfigError(f"--problems: unknown problem {name!r}{hint}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--problems {text}: one of them is there twice")
    return names


def _rates(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    values = yaml_text.load(text)
    values = values if isinstance(values, list) else [values]
    try:
        rates = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        rates = (0.0,)
    if not rates or not all(rate > 0 for rate in rates) or len(set(rates)) < len(rates):
        raise ConfigError(f"--learning_rates is {text}: expected different positive numbers, as [0.001, 0.0001]")
    return rates


def _grid(name: str, config: str, rates: tuple[float, ...] | None) -> tuple[float, ...]:
    """The learning rates of a problem: those that are asked for, or SUPERB's; none if nothing is trained."""
    known = TASKS[name].learning_rates
    if not known:
        return ()
    return rates if rates is not None else known if config == "superb" else ()


def _words(name: str, protocol: str, overrides: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The config and the overrides of a problem; ``asr.train.total_steps`` is for ``asr`` alone."""
    common = [f"--{key}={value}" for key, value in overrides if key.partition(".")[0] not in TASKS]
    own = [f"--{key.partition('.')[2]}={value}" for key, value in overrides if key.partition(".")[0] == name]
    return (*_preset(name, protocol), *common, *own)


def _preset(name: str, protocol: str) -> tuple[str, ...]:
    """The words of a problem with ``--config superb``, with ``--quick`` too, or with ``--config toy``."""
    if protocol == "toy":
        return (*TOY[name], "--evaluate.baselines=false")
    preset = ["--config=superb"]
    if protocol == "quick":
        part, steps = QUICK[name]
        preset += [] if part is None else [f"--prepare_data.train_fraction={part}"]
        preset += [f"--train.total_steps={steps}", "--train.eval_step=auto", "--train.save_step=auto"] if steps else []
    return tuple(preset)


def _run(cells: Sequence[Cell], parallel: int, judge: type[Halving] | None) -> int:
    """Run what is missing; return how many runs failed."""
    searches = [cell.trials() for cell in cells if len(cell.learning_rates) > 1]
    failed, ready = run_passes(searches, parallel, judge), []
    for cell in cells:
        try:
            ready.append(Group((cell.chosen().job(),)))
        except FileNotFoundError as error:
            failed += 1
            say(f"left out: {error}")
    return failed + sum(outcome.code != 0 for outcome in run_groups(ready, parallel, "runs"))


def _write(root: Path, cells: Sequence[Cell], protocol: str, baseline: str | None) -> None:
    """Write ``results.json``, the table as CSV, LaTeX and a page, and print it."""
    rows = [row for cell in cells if (row := cell.result()) is not None]
    write_json(root / "results.json", {"config": protocol, "rows": rows})
    summary = table.Table(rows, list(dict.fromkeys(cell.task for cell in cells)), with_published=protocol == "superb")
    write_text(root / "table.csv", summary.csv())
    write_text(root / "table.tex", summary.latex())
    write_text(root / "superb.html", summary.page(root, baseline))
    print(summary.text())
    missing = [cell.title for cell in cells if cell.result() is None]
    if missing:
        print(f"\nwithout a result: {', '.join(missing)}; see {root / 'logs'}", file=sys.stderr)
    print(f"\npage: {root / 'superb.html'}", file=sys.stderr)
