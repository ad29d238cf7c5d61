"""The sections of a training: the optimizer, its schedule, and ``train``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataset.setting import setting

DIAGNOSTICS = ("dry_run", "no_optim", "overfit_one_batch")
"""Keys of ``train`` that run a diagnostic in place of stage 2."""


@dataclass
class BuildOptimizer:
    """The optimizer, from torch.optim."""

    name: str = setting("Adam", "a class of torch.optim")
    conf: dict = setting({"lr": 1e-3}, "its settings")
    groups: dict | None = setting(None, "settings by module, e.g. {upstream: {lr: 1.0e-5}}; * matches any name")
    no_decay_on_vectors: bool = setting(False, "no weight decay on biases and norms")
    layer_decay: float | None = setting(
        None,
        "multiply the learning rate by this for each upstream layer below the top, e.g. 0.9; null: off",
        min=0,
        max=1,
    )
    lr_factor: float = setting(1.0, "multiply every learning rate by this, e.g. 0.1 for fine-tuning", min=0)
    updated_modules: list[str] | None = setting(None, "modules to update, e.g. [downstream]; null: all trainable ones")
    optim_loss: str | None = setting(None, "name of the task's loss to minimise; null: the main loss")
    step_per_update: int = setting(1, "update every so many steps, on their summed gradients", min=1)
    optimizers: dict | None = setting(
        None, "several optimizers by name, each with the keys that differ and its scheduler"
    )


@dataclass
class BuildScheduler:
    """The learning-rate schedule, used if train.use_scheduler is true."""

    name: str = setting("warmup_linear", "a schedule of Soundstage or a class of torch.optim.lr_scheduler")
    conf: dict = setting({}, "its settings")
    every: str | None = setting(
        None,
        "when to step it; null: after validations for newbob and plateau, else every step",
        choices=("step", "epoch", "validation"),
    )


@dataclass
class Train:
    """Stage 2: training."""

    total_steps: int | Literal["auto"] | None = setting(
        1000,
        "optimizer steps; auto: auto_epochs, but from 1000 to 20000 steps; null: as many as epochs take; 0: none",
        min=0,
        resume="extends",
        heading="length",
    )
    auto_epochs: int = setting(30, "passes over the training set of total_steps auto", min=1, resume="extends")
    epochs: int | None = setting(
        None, "passes over the training set; null: as many as total_steps take", min=1, resume="extends"
    )

    log_step: int = setting(50, "log the training loss every so many steps", min=1, resume="free", heading="cadence")
    eval_step: int | Literal["auto"] | None = setting(
        500,
        "validate every so many steps, and at the end; auto: 10 times; null: only at the end",
        min=1,
        resume="free",
    )
    valid_per_epochs: int | None = setting(None, "also validate every so many epochs; null: off", min=1, resume="free")
    save_step: int | Literal["auto"] | None = setting(
        500,
        "save a checkpoint every so many steps, and at the end; auto: 10 times; null: only at the end",
        min=1,
        resume="free",
    )
    save_per_epochs: int | None = setting(
        None, "also save a checkpoint every so many epochs; null: off", min=1, resume="free"
    )
    save_minutes: float | None = setting(
        None, "also save a checkpoint every so many minutes; null: off", min=0, resume="free"
    )

    gradient_accumulate: int = setting(
        1, "batches per step; the rest of an epoch makes a smaller step", min=1, heading="gradients and weights"
    )
    gradient_clipping: float | None = setting(1.0, "largest gradient norm; null: off", min=0)
    gradient_norm_type: float | str = setting(2.0, "p of that norm; inf: the largest absolute value", min=1)
    use_scheduler: bool = setting(False, "let build_scheduler set the learning rate")
    ema: float | None = setting(
        None, "decay of a moving average of the weights, validated and saved in their place; null: off", min=0, max=1
    )

    seed: int = setting(0, "random seed", min=0, heading="numerics")
    precision: str = setting("fp32", "precision of the forward pass", choices=("fp32", "bf16", "fp16"))
    tf32: bool = setting(False, "multiply float32 matrices in TF32 on a GPU")
    compile: str | None = setting(None, "torch.compile backend for the model, e.g. inductor; null: off")
    deterministic: bool = setting(False, "use deterministic GPU kernels only; fail if an operation has none")
    sync_batchnorm: bool = setting(False, "compute batch norm over the batches of all processes; GPUs only")
    parallel: str = setting(
        "auto",
        "how processes train together; sum: add up gradients after each step's backward passes; ddp: during the last"
        " of them; fsdp: so too, each with a part of the model; auto: ddp if it is possible",
        choices=("auto", "sum", "ddp", "fsdp"),
        resume="free",
    )

    valid_metric: str | None = setting(
        "loss",
        "validation metric that ranks the checkpoints, e.g. wer, or wer/digits of one of several sets; null: train"
        " without validation",
        heading="selection",
    )
    valid_higher_better: bool | None = setting(
        None, "true if a higher value of it is better; null: as the task declares, or else lower"
    )
    best_rules: list[dict] = setting(
        [], "further rankings, e.g. [{metric: cer, higher_better: false, keep: 2}]", resume="free"
    )
    keep_best_ckpts: int = setting(1, "best checkpoints to keep", min=1, resume="free")
    keep_num_ckpts: int | None = setting(2, "newest checkpoints to keep; null: all", min=1, resume="free")
    average: str | None = setting(
        None,
        "average the weights of the kept checkpoints into train/average at the end; null: off",
        choices=("best", "newest"),
        resume="free",
    )

    patience: int | Literal["auto"] | None = setting(
        None,
        "stop after this many validations without improvement; auto: 4, if total_steps is auto; null: off",
        min=1,
        resume="extends",
        heading="early stopping",
    )
    threshold: float = setting(0.0, "smallest change that counts as an improvement", min=0)
    threshold_mode: str = setting(
        "abs", "unit of the threshold: the metric's own, or relative to the best value", choices=("abs", "rel")
    )

    samples: int = setting(
        3,
        "validation utterances whose reference and hypothesis are shown at each validation; 0: none",
        min=0,
        resume="free",
        heading="monitoring",
    )
    loggers: list | None = setting(
        None,
        "loggers beside TensorBoard, each an extra: wandb, mlflow, or {name: wandb, conf: {project: mine}}; null: none",
        resume="free",
    )

    nonfinite_patience: int = setting(
        10,
        "steps in a row that may be skipped (non-finite gradients, out of memory, errors)",
        min=0,
        heading="failures",
    )
    skip_errors: bool = setting(False, "skip a batch that fails, and log it, instead of stopping", resume="free")
    watchdog: float | None = setting(
        600, "log a stack trace after this many seconds without progress; null: off", min=1, resume="free"
    )

    dry_run: bool = setting(
        False, "only read one epoch of data, and log its throughput", resume="free", heading="diagnostics"
    )
    no_optim: bool = setting(
        False, "run total_steps without updating the weights, and log the time of a step", resume="free"
    )
    overfit_one_batch: bool = setting(
        False, "train on the first batch only for total_steps, and log whether its loss falls", resume="free"
    )
    profile: int | None = setting(
        None, "profile this many steps, after ten of warm-up, into train/profile; null: off", min=1, resume="free"
    )

    auto_resume: bool = setting(
        True, "continue an interrupted training; false: same as --fresh on stage 2", resume="free", heading="resuming"
    )
    resume_ckpt_dir: str | None = setting(
        None, "checkpoint that a new training continues from, with all its state", resume="starts"
    )
    init_ckpt_dir: str | None = setting(None, "checkpoint whose weights a new training starts from", resume="starts")
    init_parts: list | dict | None = setting(
        None,
        "of init_ckpt_dir, only the weights that match a pattern, as [upstream.*], or that begin with a prefix, which"
        " another replaces, as {encoder.: upstream.}; null: all",
        resume="starts",
    )

    @staticmethod
    def check(values: dict) -> list[str]:
        """The errors between keys that are each valid alone."""
        if (values["total_steps"] is None) == (values["epochs"] is None):
            return ["train: give one of total_steps and epochs; the other must be null (--train.total_steps null)"]
        diagnostics = [key for key in DIAGNOSTICS if values[key]]
        errors = [f"train: {' and '.join(diagnostics)} are on: turn on only one"] if len(diagnostics) > 1 else []
        if values["valid_metric"] is None:
            needy = {"patience": values["patience"] not in (None, "auto"), "best_rules": values["best_rules"]}
            needy["average"] = values["average"] == "best"
            errors += [f"train.{key}: needs a validation metric; set train.valid_metric" for key in needy if needy[key]]
        if values["resume_ckpt_dir"] and values["init_ckpt_dir"]:
            errors.append("train: give one of init_ckpt_dir and resume_ckpt_dir")
        if values["init_parts"] is not None and not (values["init_ckpt_dir"] and values["init_parts"]):
            errors.append("train.init_parts: names parts of init_ckpt_dir: give both, and at least one part")
        if isinstance(values["gradient_norm_type"], str) and values["gradient_norm_type"] != "inf":
            errors.append(f"train.gradient_norm_type: expected a number or inf, got {values['gradient_norm_type']!r}")
        expected = {"metric": str, "higher_better": bool, "keep": int}
        for number, rule in enumerate(values["best_rules"]):
            kinds = {key: type(value) for key, value in rule.items()}
            if {"keep": int} | kinds != expected or rule.get("keep", 1) < 1:
                errors.append(
                    f"train.best_rules[{number}]: expected metric, higher_better and keep (1 or more), got {rule}"
                )
        return errors
