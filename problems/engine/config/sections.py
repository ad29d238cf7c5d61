"""Every shared config key: its default, help line and bounds, and whether a resumed training may change it.

A problem lists its sections in ``Problem.sections``; ``default_config()`` is these classes as a dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataset.setting import setting

DIAGNOSTICS = ("dry_run", "no_optim", "overfit_one_batch")
"""Keys of ``train`` that run a diagnostic in place of stage 2."""


@dataclass
class Run:
    """Options of the run itself."""

    target_dir: str | None = setting(None, "output folder; null: result/<problem>/<preset>")
    cache_dir: str | None = setting(None, "folder shared by all runs; null: ~/.cache/soundstage")
    remove_all_cache: bool = setting(False, "first delete what this run would read from cache_dir")
    start: int | None = setting(
        None, "first stage to run, 0-4; null: the first missing or stale one (under torchrun: start=N)", min=0, max=4
    )
    stop: int | None = setting(None, "last stage to run, inclusive; null: 4", min=0, max=4)
    budget: str | float | None = setting(
        None,
        "time for the whole run, e.g. 90s, 5m or 2h: as many steps are trained as fit, in place of train.total_steps",
        resume="extends",
    )
    learning_curve: bool = setting(
        False, "also train on 10 and 30 % of the training set, in learning_curve/, and compare", resume="free"
    )
    folds: int | Literal["all"] | None = setting(
        None,
        "run every fold of the corpus in folds/, and average: all, or a number; null: one run",
        resume="free",
        min=2,
    )
    seeds: int | str | list | None = setting(
        None,
        "run with several seeds in seeds/, and average: how many, from train.seed on, or which, e.g. 0,1,2; null: one"
        " run",
        resume="free",
    )
    num_workers: int = setting(6, "processes that read audio, at most the number of cores; 0: none", min=0)
    eval_batch: int = setting(-1, "evaluate only this many batches, for a quick look; -1: all", min=-1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...; auto: a GPU if there is one")
    nproc: int = setting(1, "start this many processes on this machine, which train together", min=1)
    launcher: Literal["slurm"] | None = setting(
        None, "slurm: submit the run as a job of nproc processes on each node; null: run it here", resume="free"
    )
    slurm: dict | None = setting(
        None, "what the job asks for, e.g. {nodes: 2, gpus_per_node: 4, timeout_min: 600}", resume="free"
    )
    world_size: int = setting(1, "number of processes that train together, if run() is called from code", min=1)
    rank: int = setting(0, "rank of this process, if run() is called from code", min=0)
    test_ckpt_dir: str | None = setting(None, "checkpoint folder to test; null: the best checkpoint of this training")
    test_ckpt_steps: list[int] | None = setting(None, "test the checkpoints of these steps, e.g. [1000, 2000]")
    test_data: dict | None = setting(
        None,
        "test sets that the training did not have, in place of its own, e.g. {corpus: csv, test: new.csv}: the settings"
        " of a corpus; the command test writes it",
    )
    upstream: str | None = setting(None, "file or folder of a checkpoint's frozen upstream, if that has moved")
    fresh: bool = setting(False, "move an earlier training aside (train.1, ...) and start over")


@dataclass
class PrepareData:
    """Stage 0: the metadata of a corpus."""

    corpus: str = setting(
        "toy", "the corpus; its own settings are keys of this section", registry="dataset.corpora:CORPORA"
    )
    min_seconds: float = setting(0.05, "shortest usable audio", min=0)
    train_fraction: float | None = setting(
        None, "part of the training set to use, chosen by a hash of the ids; null: all of it", min=0.001, max=1
    )
    skip_bad: bool = setting(False, "skip unusable audio, and log it, instead of stopping")


@dataclass
class BuildDataset:
    """Augmentation of the training audio."""

    speeds: list[float] = setting([1.0], "speed perturbation: one speed is drawn per utterance, e.g. [0.9, 1.0, 1.1]")
    band_limits: list[float] | None = setting(
        None, "remove all above one of these frequencies in Hz, drawn per utterance, e.g. [4000, 8000]; null: off"
    )
    augment: list[dict] | None = setting(
        None, "further augmentations in their order, e.g. [{name: noise, prob: 0.5, conf: {source: DIR, snr: [0, 20]}}]"
    )


@dataclass
class BuildEncoder:
    """Stage 1: the encoder of the labels."""

    name: str = setting("character", "the label encoder", registry="dataset.encoders:TEXT_ENCODERS")
    conf: dict = setting({}, "its settings")


@dataclass
class Batches:
    """Batches of one mode."""

    name: str = setting("sorted", "the batch sampler", registry="dataset.samplers:SAMPLERS")
    batch_size: int | None = setting(16, "utterances per batch; null: as many as fit in max_seconds", min=1)
    max_seconds: float | None = setting(None, "longest batch in seconds, padding included; null: no limit", min=0)
    conf: dict = setting({}, "settings of the sampler, e.g. {buckets: 20}")
    batches_per_epoch: int | None = setting(
        None, "batches after which an epoch ends, and the next goes on with the data; null: all the data", min=1
    )


@dataclass
class TrainBatches(Batches):
    """Batches to train on."""

    sets: dict | None = setting(
        None,
        "a sub-batch of each of these corpora in every batch, with a weight and the keys above that differ, e.g."
        " {digits: {batch_size: 8}, sentences: {weight: 0.5}}; null: no sub-batches",
    )


@dataclass
class BuildBatchSampler:
    """The batches of each mode."""

    train: TrainBatches = setting(TrainBatches("bucket"), "batches to train on")
    valid: Batches = setting(Batches(), "batches to validate on")
    test: Batches = setting(Batches(), "batches to test on")


@dataclass
class BuildUpstream:
    """The upstream: from a waveform to hidden states."""

    name: str = setting("fbank", "the upstream", registry="nn.upstream:UPSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class BuildFeaturizer:
    """The featurizer: the hidden states as one, by default their weighted sum."""

    layer_selections: int | list[int] | str | None = setting(
        None, "layers to sum, e.g. [0, 5]; a single number; or last; null: all"
    )
    normalize: bool = setting(False, "layer-normalise each layer before the sum")
    readout: str | None = setting(
        None,
        "how layers become one; gated: weights for each frame or utterance; null: weighted_sum",
        choices=("weighted_sum", "mean", "gated", "gated_utterance", "hierarchical"),
    )


@dataclass
class BuildDownstream:
    """The downstream model: the trained head."""

    name: str = setting("rnn", "the head", registry="nn.downstream:DOWNSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class BuildModel:
    """The model: upstream, featurizer and head."""

    upstream_trainable: bool | list[int | str] = setting(
        False,
        "train the upstream too: true, or a list of layer numbers (-1: the last) and parameter names, e.g. [11, 12]",
    )
    finetune: dict | None = setting(None, "fine-tuning settings, e.g. {layer_drop: 0.1, lora_rank: 8}; null: none")
    specaug: dict | None = setting(None, "SpecAugment on the features, e.g. {freq_mask_width: [0, 27]}; null: off")


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


@dataclass
class Features:
    """The cache of a frozen upstream's features, shared by epochs, runs and problems."""

    cache: str = setting(
        "auto",
        "where to cache; auto: on disk or in RAM, if that saves time",
        choices=("auto", "off", "ram", "disk"),
        resume="free",
    )
    dtype: str = setting(
        "fp16", "storage type; fp32 takes twice the space, int8 half of it", choices=("fp16", "fp32", "int8")
    )
    limit_gb: float = setting(
        50.0, "disk limit for all cached features (GB); least recently used evicted first", min=0, resume="free"
    )


@dataclass
class SaveModel:
    """Files saved beside the model."""

    extra_conf: dict | None = setting(None, "anything to save as extra_conf.json in each checkpoint")


@dataclass
class SaveTask:
    """Files saved beside the task."""

    extra_conf: dict | None = setting(None, "anything to save as extra_conf.json in each checkpoint")


@dataclass
class Empty:
    """A section without keys of its own; a subclass adds them in ``default_config()``."""
