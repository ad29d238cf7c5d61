"""The sections of a config that every problem has: each key with its default, its meaning and its bounds.

A problem names its sections in ``Problem.sections``; ``default_config()`` is these classes as a dict.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataset.setting import setting

DIAGNOSTICS = ("dry_run", "no_optim", "overfit_one_batch")
"""Keys of ``train`` that run a diagnostic in place of stage 2."""


@dataclass
class Run:
    """What a run is told apart from its sections."""

    target_dir: str | None = setting(None, "where everything is written; null: result/<problem>/<preset>")
    cache_dir: str | None = setting(None, "what several runs share; null: ~/.cache/soundstage")
    remove_all_cache: bool = setting(False, "first remove what this problem and this corpus left in cache_dir")
    start: int | None = setting(
        None, "first stage to run, 0-4; null: the first that is not done and fresh", min=0, max=4
    )
    stop: int | None = setting(None, "last stage to run, inclusive; null: 4", min=0, max=4)
    num_workers: int = setting(6, "processes that read audio; never more than there are cores; 0: none", min=0)
    eval_batch: int = setting(-1, "batches to evaluate, for a quick look; -1: all", min=-1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...; auto: a GPU where there is one")
    nproc: int = setting(1, "processes to start on this machine, which train together", min=1)
    world_size: int = setting(1, "processes that train together, for those who call run() from code", min=1)
    rank: int = setting(0, "this process's number among them", min=0)
    test_ckpt_dir: str | None = setting(None, "a checkpoint folder to test, anywhere; null: the best one")
    test_ckpt_steps: list[int] | None = setting(None, "steps whose checkpoints to test, as [1000, 2000]")
    fresh: bool = setting(False, "move an earlier training aside (train.1, ...) and start anew")


@dataclass
class PrepareData:
    """Stage 0: the metadata of a corpus."""

    corpus: str = setting("toy", "the corpus; its own settings stand beside", registry="dataset.corpora:CORPORA")
    min_seconds: float = setting(0.05, "audio shorter than this cannot be used", min=0)
    skip_bad: bool = setting(False, "leave out audio that cannot be used, naming it, instead of stopping")


@dataclass
class BuildDataset:
    """What happens to the audio of the training set."""

    speeds: list[float] = setting([1.0], "speeds to play training utterances at, one drawn each time: [0.9, 1.0, 1.1]")


@dataclass
class BuildEncoder:
    """Stage 1: from labels to numbers."""

    name: str = setting("character", "kind of label encoder", registry="dataset.encoders:TEXT_ENCODERS")
    conf: dict = setting({}, "its settings")


@dataclass
class Batches:
    """How utterances are grouped into batches."""

    batch_size: int | None = setting(16, "utterances in a batch; null: as many as max_seconds holds", min=1)
    max_seconds: float | None = setting(None, "seconds of a batch with its padding, at most", min=0)
    shuffle: bool = setting(False, "a new order each epoch, a pure function of seed and epoch")


@dataclass
class BuildBatchSampler:
    """Batches of utterances of similar length, for each mode."""

    train: Batches = setting(Batches(16, None, True), "batches to train on")
    valid: Batches = setting(Batches(16, None, False), "batches to validate on")
    test: Batches = setting(Batches(16, None, False), "batches to test on")


@dataclass
class BuildUpstream:
    """What turns a waveform into hidden states."""

    name: str = setting("fbank", "the upstream", registry="nn.upstream:UPSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class BuildFeaturizer:
    """What turns several hidden states into one."""

    layer_selections: int | list[int] | str | None = setting(
        None, "layers to weigh, as [0, 5]; one by its number, or last; null: all"
    )
    normalize: bool = setting(False, "layer norm of each layer before they are weighed")


@dataclass
class BuildDownstream:
    """The head that is trained."""

    name: str = setting("rnn", "the head", registry="nn.downstream:DOWNSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class BuildModel:
    """Upstream, featurizer and head together."""

    upstream_trainable: bool | list[int | str] = setting(
        False, "train the upstream too; or its layers by number (-1: the last) and parameters by name, as [11, 12]"
    )
    finetune: dict | None = setting(None, "how it is trained, as {layer_drop: 0.1, lora_rank: 8, ...}; null: plainly")
    specaug: dict | None = setting(None, "SpecAugment on the features, as {freq_mask_width: [0, 27], ...}; null: off")


@dataclass
class BuildOptimizer:
    """The optimizer, from torch.optim."""

    name: str = setting("Adam", "a class of torch.optim")
    conf: dict = setting({"lr": 1e-3}, "its settings")
    groups: dict | None = setting(
        None, "other settings for modules, as {upstream: {lr: 1.0e-5}}; * stands for anything"
    )
    no_decay_on_vectors: bool = setting(False, "no weight decay on biases and norms")
    layer_decay: float | None = setting(
        None, "a factor on the rate for each layer of the upstream below the head, as 0.9; null: off", min=0, max=1
    )
    lr_factor: float = setting(1.0, "a factor on every learning rate, to fine-tune with a recipe's own", min=0)
    updated_modules: list[str] | None = setting(None, "modules that it moves, as [downstream]; null: all that train")
    optim_loss: str | None = setting(None, "which of the task's losses it follows; null: the main one")
    step_per_update: int = setting(1, "steps to an update; their gradients are summed", min=1)
    optimizers: dict | None = setting(
        None, "several optimizers by name, each with the keys that differ and its scheduler"
    )


@dataclass
class BuildScheduler:
    """The learning rate over time; acts when train.use_scheduler is true."""

    name: str = setting("warmup_linear", "a schedule of Soundstage, or a class of torch.optim.lr_scheduler")
    conf: dict = setting({}, "its settings")
    every: str | None = setting(
        None,
        "what steps it; null: validation for newbob and plateau, else step",
        choices=("step", "epoch", "validation"),
    )


@dataclass
class Train:
    """Stage 2: the train loop."""

    total_steps: int | None = setting(
        1000, "optimizer steps to train for; null: as many as epochs take", min=1, resume="extends"
    )
    epochs: int | None = setting(
        None, "epochs to train for; null: as many as total_steps take", min=1, resume="extends"
    )
    log_step: int = setting(50, "steps between two lines of the history", min=1, resume="free")
    eval_step: int | None = setting(
        500, "steps between two validations; there is always one at the end", min=1, resume="free"
    )
    valid_per_epochs: int | None = setting(
        None, "epochs between two validations, beside eval_step; null: off", min=1, resume="free"
    )
    save_step: int = setting(500, "steps between two checkpoints; there is always one at the end", min=1, resume="free")
    save_minutes: float | None = setting(
        None, "minutes between two checkpoints, beside save_step; null: off", min=0, resume="free"
    )
    gradient_clipping: float | None = setting(1.0, "largest norm of the gradients; null: off", min=0)
    gradient_norm_type: float | str = setting(2.0, "which norm that is; inf: the largest absolute value", min=1)
    gradient_accumulate: int = setting(1, "batches to a step; what is left at an epoch's end makes a step too", min=1)
    precision: str = setting("fp32", "of the forward pass", choices=("fp32", "bf16", "fp16"))
    tf32: bool = setting(False, "let a GPU multiply float32 matrices in TF32")
    compile: str | None = setting(None, "compile the model with this backend of torch.compile, as inductor; null: off")
    deterministic: bool = setting(False, "only kernels that repeat bit for bit on a GPU; an error where there is none")
    sync_batchnorm: bool = setting(False, "batch norm over the batches of all processes; GPUs only")
    ema: float | None = setting(
        None, "decay of an average of the weights, which is validated and saved in their place; null: off", min=0, max=1
    )
    valid_metric: str = setting("loss", "the metric that chooses the best checkpoint")
    valid_higher_better: bool = setting(False, "whether more of it is better")
    keep_num_ckpts: int | None = setting(2, "newest checkpoints to keep; null: all", min=1, resume="free")
    keep_best_ckpts: int = setting(1, "best checkpoints to keep", min=1, resume="free")
    best_rules: list[dict] = setting(
        [], "further rules, as [{metric: cer, higher_better: false, keep: 2}]", resume="free"
    )
    average: str | None = setting(
        None,
        "average the weights of the kept checkpoints into train/average at the end",
        choices=("best", "newest"),
        resume="free",
    )
    patience: int | None = setting(
        None, "validations without a better value before training ends; null: off", min=1, resume="extends"
    )
    threshold: float = setting(0.0, "how much better counts as better", min=0)
    threshold_mode: str = setting("abs", "in the metric's own unit, or as a part of the best", choices=("abs", "rel"))
    nonfinite_patience: int = setting(
        10, "steps in a row that may be skipped: gradients not finite, no memory, errors", min=0
    )
    skip_errors: bool = setting(False, "leave out a batch that fails, naming it, instead of ending", resume="free")
    watchdog: float | None = setting(
        600, "seconds without progress after which it says where it waits; null: off", min=1, resume="free"
    )
    profile: int | None = setting(
        None, "steps to profile, after ten of warm-up, into train/profile; null: off", min=1, resume="free"
    )
    dry_run: bool = setting(False, "only read the data of an epoch, and say how fast", resume="free")
    no_optim: bool = setting(
        False, "only go through total_steps without moving a weight, and say where the time goes", resume="free"
    )
    overfit_one_batch: bool = setting(
        False, "only train on the first batch for total_steps: can the model learn it?", resume="free"
    )
    seed: int = setting(0, "everything random follows from it", min=0)
    use_scheduler: bool = setting(False, "let build_scheduler set the learning rate")
    auto_resume: bool = setting(True, "continue an interrupted training; false is --fresh on stage 2", resume="free")
    resume_ckpt_dir: str | None = setting(
        None, "a checkpoint whose weights to start from, where this training has none", resume="free"
    )

    @staticmethod
    def check(values: dict) -> list[str]:
        """What is wrong between keys that are each right alone."""
        if (values["total_steps"] is None) == (values["epochs"] is None):
            return ["train: give one of total_steps and epochs, and null for the other"]
        diagnostics = [key for key in DIAGNOSTICS if values[key]]
        wrong = [f"train: {' and '.join(diagnostics)} are on: turn on only one"] if len(diagnostics) > 1 else []
        if isinstance(values["gradient_norm_type"], str) and values["gradient_norm_type"] != "inf":
            wrong.append(f"train.gradient_norm_type: expected a number or inf, got {values['gradient_norm_type']!r}")
        expected = {"metric": str, "higher_better": bool, "keep": int}
        for number, rule in enumerate(values["best_rules"]):
            kinds = {key: type(value) for key, value in rule.items()}
            if {"keep": int} | kinds != expected or rule.get("keep", 1) < 1:
                wrong.append(
                    f"train.best_rules[{number}]: expected metric, higher_better and keep (1 or more), got {rule}"
                )
        return wrong


@dataclass
class Evaluate:
    """Stage 3, and validation: every prediction."""

    precision: str = setting("fp32", "of the forward pass", choices=("fp32", "bf16", "fp16"))


@dataclass
class Features:
    """Features of a frozen upstream, computed once and read back in every later epoch, run and problem."""

    cache: str = setting(
        "auto",
        "where they are kept; auto: where it pays and there is room",
        choices=("auto", "off", "ram", "disk"),
        resume="free",
    )
    dtype: str = setting("fp16", "as what they are kept; fp32 takes twice the space", choices=("fp16", "fp32"))
    limit_gb: float = setting(
        50.0, "what all of them may take in cache_dir; the least recently used make way", min=0, resume="free"
    )


@dataclass
class SaveModel:
    """What is saved beside a model."""

    extra_conf: dict | None = setting(None, "anything to keep as extra_conf.json in each checkpoint")


@dataclass
class Empty:
    """A section without keys of its own; a subclass adds them in ``default_config()``."""
