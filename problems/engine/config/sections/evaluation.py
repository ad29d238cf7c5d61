"""The section of stage 3."""

from __future__ import annotations

from dataclasses import dataclass

from dataset.setting import setting


@dataclass
class Evaluate:
    """Stage 3: evaluation of checkpoints."""

    precision: str = setting("fp32", "precision of the forward pass", choices=("fp32", "bf16", "fp16"))
    task: dict = setting(
        {}, "settings of build_task for the test alone, e.g. {decode: {name: beam}}; only those that are free in a test"
    )
    dataset: dict = setting({}, "settings of build_dataset for the test alone, in the same way")
    settings: dict | list | None = setting(
        None,
        "several tests of each checkpoint: a grid, e.g. {decode.beam: [4, 16]}, or a list of {name: ..., KEY: VALUE};"
        " keys of evaluate.task; the one to report is chosen on the validation set",
    )
    ckpts: list | None = setting(
        None,
        "checkpoints to test: steps, best, last, average or folders, e.g. [best, 1000]; the one to report is chosen on"
        " the validation set; null: test_ckpt_dir, test_ckpt_steps, or the best",
    )
    groups: list | None = setting(
        None, "also measure by group: columns, or columns of numbers with edges, e.g. [gender, {seconds: [0, 2, 5]}]"
    )
    worst: list[dict] | None = setting(
        None,
        "lists of the report, e.g. [{metric: wer, n: 10}, {metric: confidence, best: true}]: the worst, or best,"
        " utterances by a metric or a column of predictions.csv; null: the usual list",
        resume="free",
    )
    skip_errors: bool = setting(False, "leave out, name and count an utterance that fails, instead of stopping")
    confidence: int = setting(1000, "draws of the bootstrap for the intervals of the metrics; 0: no intervals", min=0)
    unit: str | None = setting(
        None, "column whose values are drawn whole, e.g. recording; null: the speaker if known, else each utterance"
    )
    baselines: bool = setting(
        True, "compare with trivial models on the same data, such as logistic regression", resume="free"
    )
    probes: bool | None = setting(
        None, "true: fit neighbours and logistic regression to the means of the upstream's states too; labels only"
    )
