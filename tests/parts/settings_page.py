"""docs/settings.md: every setting with its default, its bounds and its meaning. Write it: ``python -m`` this module."""

from __future__ import annotations

import json
from collections.abc import Iterator

from problems import registry
from problems.base import Problem
from problems.classification import Classification
from problems.engine.config.registry import load_class
from problems.engine.config.schema import Setting, part_settings, schema
from problems.engine.config.sections import PrepareData
from problems.multilabel import MultiLabel
from tests.conftest import ROOT

PAGE = ROOT / "docs/settings.md"
HEAD = """# Settings

Every key of the command line and of a config file, with its default before presets. `--help` shows the same for one
problem with the values of a command line. A part's own settings are below it: `--build_upstream.name fbank
--build_upstream.conf.num_mel_bins 80`; those of a corpus are keys of `prepare_data` itself.

This page is written by `python -m tests.parts.settings_page`.
"""
PARTS = {
    "dataset.corpora:CORPORA": "Corpora (`prepare_data.corpus`)",
    "dataset.encoders:TEXT_ENCODERS": "Text encoders (`build_encoder.name`)",
    "nn.upstream:UPSTREAMS": "Upstreams (`build_upstream.name`)",
    "nn.downstream:DOWNSTREAMS": "Heads (`build_downstream.name`)",
    "nn.losses:LOSSES": "Losses of speaker verification (`build_task.loss`)",
}


def page() -> str:
    """The text of the page."""
    built_in = {name: registry.get(name) for name in registry.NAMES}
    problems = {"every problem": Problem, "classification": Classification, "multilabel": MultiLabel, **built_in}
    lines, known = [HEAD], {}
    for name, problem_cls in problems.items():
        problem = problem_cls()
        settings = schema(problem, problem.default_config())
        own = {key: setting for key, setting in settings.items() if key not in known and not _is_of_a_part(key)}
        known |= own
        if own:
            lines += [
                f"## {name.capitalize() if problem_cls is Problem else f'{name}: further keys'}",
                "",
                *_table(own),
                "",
            ]
    for parts, heading in PARTS.items():
        lines += [f"## {heading}", ""]
        for name in load_class(parts):
            settings = part_settings(parts, name, name)
            lines += [f"### {name}", "", *(_table(settings) if settings else ["No settings."]), ""]
    return "\n".join(lines)


def _is_of_a_part(key: str) -> bool:
    """True for a key that the chosen upstream, head or corpus adds."""
    section, _, name = key.partition(".")
    of_a_corpus = section == "prepare_data" and name not in PrepareData.__dataclass_fields__
    return ".conf." in key or of_a_corpus


def _table(settings: dict[str, Setting]) -> Iterator[str]:
    yield "| key | default | values | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, setting in settings.items():
        default = "required" if setting.default == "???" else f"`{json.dumps(setting.default, ensure_ascii=False)}`"
        yield f"| `{key}` | {default} | {_values(setting)} | {setting.help} |".replace("|  |", "| |")


def _values(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    bounds = [f"{word} {bound:g}" for word, bound in (("from", setting.min), ("to", setting.max)) if bound is not None]
    kind = setting.type.replace(" | ", " or ").replace("None", "null").replace("Literal['auto']", "`auto`")
    return ", ".join([kind.replace('Literal["auto"]', "`auto`"), *([" ".join(bounds)] if bounds else [])])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
