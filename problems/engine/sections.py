"""The sections of a config that every problem has: each key with its default, its meaning and its bounds.

A problem names its sections in ``Problem.sections``; ``default_config()`` is these classes as a dict.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataset.option import option


@dataclass
class Run:
    """What a run is told apart from its sections."""

    target_dir: str | None = option(None, "where everything is written; null: result/<problem>/<preset>")
    cache_dir: str | None = option(None, "what several runs share; null: ~/.cache/soundstage")
    remove_all_cache: bool = option(False, "first remove what this problem and this corpus left in cache_dir")
    start: int | None = option(
        None, "first stage to run, 0-4; null: the first that is not done and fresh", min=0, max=4
    )
    stop: int | None = option(None, "last stage to run, inclusive; null: 4", min=0, max=4)
    num_workers: int = option(6, "processes that read audio; never more than there are cores; 0: none", min=0)
    eval_batch: int = option(-1, "batches to evaluate, for a quick look; -1: all", min=-1)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, ...; auto: a GPU where there is one")
    nproc: int = option(1, "processes to start on this machine, which train together", min=1)
    world_size: int = option(1, "processes that train together, for those who call run() from code", min=1)
    rank: int = option(0, "this process's number among them", min=0)
    test_ckpt_dir: str | None = option(None, "a checkpoint folder to test, anywhere; null: the best one")
    test_ckpt_steps: list[int] | None = option(None, "steps whose checkpoints to test, as [1000, 2000]")
    fresh: bool = option(False, "move an earlier training aside (train.1, ...) and start anew")


@dataclass
class PrepareData:
    """Stage 0: the metadata of a corpus."""

    corpus: str = option("toy", "the corpus; its own settings stand beside", registry="dataset.corpora:CORPORA")
    min_seconds: float = option(0.05, "audio shorter than this cannot be used", min=0)
    skip_bad: bool = option(False, "leave out audio that cannot be used, naming it, instead of stopping")


@dataclass
class BuildDataset:
    """What happens to the audio of the training set."""

    speeds: list[float] = option([1.0], "speeds to play training utterances at, one drawn each time: [0.9, 1.0, 1.1]")


@dataclass
class BuildEncoder:
    """Stage 1: from labels to numbers."""

    name: str = option("character", "kind of label encoder", registry="dataset.encoders:ENCODERS")
    conf: dict = option({}, "its settings")


@dataclass
class Batches:
    """How utterances are grouped into batches."""

    batch_size: int | None = option(16, "utterances in a batch; null: as many as max_seconds holds", min=1)
    max_seconds: float | None = option(None, "seconds of a batch with its padding, at most", min=0)
    shuffle: bool = option(False, "a new order each epoch, a pure function of seed and epoch")


@dataclass
class BuildBatchSampler:
    """Batches of utterances of similar length, for each mode."""

    train: Batches = option(Batches(16, None, True), "batches to train on")
    valid: Batches = option(Batches(16, None, False), "batches to validate on")
    test: Batches = option(Batches(16, None, False), "batches to test on")


@dataclass
class BuildUpstream:
    """What turns a waveform into hidden states."""

    name: str = option("fbank", "the upstream", registry="nn.upstream:UPSTREAMS")
    conf: dict = option({}, "its settings")


@dataclass
class BuildFeaturizer:
    """What turns several hidden states into one."""

    layer_selections: list[int] | str | None = option(None, "layers to weigh, as [0, 5], or last; null: all")
    normalize: bool = option(False, "layer norm of each layer before they are weighed")


@dataclass
class BuildDownstream:
    """The head that is trained."""

    name: str = option("rnn", "the head", registry="nn.downstream:DOWNSTREAMS")
    conf: dict = option({}, "its settings")


@dataclass
class BuildModel:
    """Upstream, featurizer and head together."""

    upstream_trainable: bool = option(False, "train the upstream too")
    specaug: dict | None = option(None, "SpecAugment on the features, as {freq_mask_width: [0, 27], ...}; null: off")


@dataclass
class BuildOptimizer:
    """The optimizer, from torch.optim."""

    name: str = option("Adam", "a class of torch.optim")
    conf: dict = option({"lr": 1e-3}, "its settings")


@dataclass
class BuildScheduler:
    """The learning rate over time; acts when train.use_scheduler is true."""

    name: str = option("warmup_linear", "a schedule of Soundstage, or a class of torch.optim.lr_scheduler")
    conf: dict = option({}, "its settings")


@dataclass
class Train:
    """Stage 2: the train loop."""

    total_steps: int | None = option(1000, "optimizer steps to train for; null: as many as epochs take", min=1)
    epochs: int | None = option(None, "epochs to train for; null: as many as total_steps take", min=1)
    log_step: int = option(50, "steps between two lines of the history", min=1)
    eval_step: int = option(500, "steps between two validations; there is always one at the end", min=1)
    save_step: int = option(500, "steps between two checkpoints; there is always one at the end", min=1)
    gradient_clipping: float | None = option(1.0, "largest norm of the gradients; null: off", min=0)
    gradient_accumulate: int = option(1, "batches to a step; what is left at an epoch's end makes a step too", min=1)
    valid_metric: str = option("loss", "the metric that chooses the best checkpoint")
    valid_higher_better: bool = option(False, "whether more of it is better")
    keep_num_ckpts: int | None = option(2, "newest checkpoints to keep; null: all", min=1)
    keep_best_ckpts: int = option(1, "best checkpoints to keep", min=1)
    patience: int | None = option(None, "validations without a better value before training ends; null: off", min=1)
    threshold: float = option(0.0, "how much better counts as better, in the metric's own unit", min=0)
    nonfinite_patience: int = option(
        10, "steps in a row that may be skipped: gradients not finite, or no memory", min=0
    )
    seed: int = option(0, "everything random follows from it", min=0)
    use_scheduler: bool = option(False, "let build_scheduler set the learning rate")
    auto_resume: bool = option(True, "continue an interrupted training; false is --fresh on stage 2")
    resume_ckpt_dir: str | None = option(None, "a checkpoint whose weights to start from, where this training has none")

    @staticmethod
    def check(values: dict) -> list[str]:
        """What is wrong between keys that are each right alone."""
        if (values["total_steps"] is None) == (values["epochs"] is None):
            return ["train: give one of total_steps and epochs, and null for the other"]
        return []


@dataclass
class Evaluate:
    """Stage 3: every prediction on the test sets."""


@dataclass
class Features:
    """Features of a frozen upstream, computed once and read back in every later epoch, run and problem."""

    cache: str = option(
        "auto", "where they are kept; auto: where it pays and there is room", choices=("auto", "off", "ram", "disk")
    )
    dtype: str = option("fp16", "as what they are kept; fp32 takes twice the space", choices=("fp16", "fp32"))
    limit_gb: float = option(50.0, "what all of them may take in cache_dir; the least recently used make way", min=0)


@dataclass
class SaveModel:
    """What is saved beside a model."""

    extra_conf: dict | None = option(None, "anything to keep as extra_conf.json in each checkpoint")


@dataclass
class Empty:
    """A section without keys of its own; a subclass adds them in ``default_config()``."""
