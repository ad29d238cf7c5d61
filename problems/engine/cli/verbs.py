"""The registry of verbs: what each runs, what it takes on the command line, and its lines of --help."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Verb:
    """One command of a problem.

    Args:
        target: ``"module:function"``, called with the problem and the parsed :class:`Arguments`; it returns an exit
            code.
        usage: what follows the verb.
        summary: one line for ``--help``.
        options: its options, if it takes files; one that ends with a dot stands for all that begin so. None if it takes
            the keys of the config instead.
        flags: those of the options that need no value.
    """

    target: str
    usage: str
    summary: str
    options: tuple[str, ...] | None = None
    flags: tuple[str, ...] = ()


VERBS = {
    "run": Verb(
        "problems.engine.cli.commands.run:run",
        "[--config NAME|FILE]... [--start N] [--stop N] [--KEY VALUE]...",
        "run the stages: 0 prepare data, 1 build encoder, 2 train, 3 evaluate checkpoints, 4 report",
    ),
    "status": Verb(
        "problems.engine.cli.commands.status:status",
        "[--config NAME|FILE]... [--KEY VALUE]...",
        "show which stages are done, stale (and why) or missing, and the results",
    ),
    "check": Verb(
        "problems.engine.cli.commands.check:check",
        "[--config NAME|FILE]... [--KEY VALUE]...",
        "read all audio of the corpus and report what is wrong with it: bad files, repeated audio, shared speakers",
    ),
    "manifest": Verb(
        "problems.engine.cli.commands.manifest:manifest",
        "--to kaldi|nemo|lhotse --out DIR [--config NAME|FILE]... [--KEY VALUE]...",
        "write the sets that stage 0 prepared as manifests of another toolkit",
    ),
    "pack": Verb(
        "problems.engine.cli.commands.pack:pack",
        "[--out DIR] [--shards URL] [--shard_mb 500] [--config NAME|FILE]... [--KEY VALUE]...",
        "write the audio of stage 0 to tar shards, in <target_dir>/shards or DIR, and CSVs that refer to them",
    ),
    "fit": Verb(
        "problems.engine.cli.commands.fit:fit",
        "[--limit_gb 16] [--margin 0.1] [--config NAME|FILE]... [--KEY VALUE]...",
        "find the largest training batches that fit into memory, by trial, and print the option to type",
    ),
    "config": Verb(
        "problems.engine.cli.commands.show_config:show_config",
        "[--config NAME|FILE]... [--KEY VALUE]...",
        "print the resolved config as YAML, to edit and pass back with --config",
    ),
    "test": Verb(
        "problems.engine.cli.commands.test:test",
        "--ckpt DIR... --data FILE... [--trials FILE] [--out DIR] [--task.KEY VALUE]... [--evaluate.KEY VALUE]...",
        "test trained checkpoints on sets that their training did not have: files like those of --prepare_data.corpus"
        " csv; the results go to <target_dir>/tests/NAME, or DIR",
        options=(
            *("ckpt", "data", "trials", "out", "task.", "evaluate.", "test_data.", "build_batch_sampler.test."),
            *("eval_batch", "features.", "num_workers", "device", "upstream", "cache_dir", "start", "stop", "fresh"),
        ),
        flags=("fresh", "evaluate.skip_errors", "evaluate.baselines", "test_data.skip_bad"),
    ),
    "predict": Verb(
        "problems.engine.cli.commands.predict:predict",
        "--ckpt DIR [--format NAME] [--out DIR] [--stream] [--align COLUMN] [--task.KEY VALUE]... FILE|FOLDER|CSV|-...",
        "apply a trained checkpoint to recordings; prints path<TAB>prediction, or text, json, jsonl, csv, ctm, rttm,"
        " textgrid, srt, vtt; with --stream also partial results, as the audio comes; with --align, the times of known"
        " phones, or with --lexicon of known words",
        options=(
            *("ckpt", "format", "out", "task.", "enrol", "align", "lexicon"),
            *("device", "upstream", "batch_seconds", "num_workers", "stream", "chunk_ms", "raw"),
        ),
        flags=("stream",),
    ),
    "export": Verb(
        "problems.engine.cli.commands.export:export",
        "--ckpt DIR [--average N] [--include_upstream] [--onnx AUDIO] [--torch_export AUDIO] [--license NAME] OUT",
        "write a trained checkpoint as one portable folder with a model card; also as a program of other runtimes",
        options=("ckpt", "average", "include_upstream", "onnx", "torch_export", "license", "upstream"),
        flags=("include_upstream",),
    ),
    "push": Verb(
        "problems.engine.cli.commands.push:push",
        "--ckpt DIR [--private] [--include_upstream] [--license NAME] USER/NAME",
        "write a trained checkpoint to the Hugging Face hub, as the folder that export writes",
        options=("ckpt", "private", "include_upstream", "license", "upstream"),
        flags=("private", "include_upstream"),
    ),
    "serve": Verb(
        "problems.engine.cli.commands.serve:serve",
        "--ckpt DIR [--host NAME] [--port N] [--task.KEY VALUE]...",
        "answer requests over HTTP with a trained checkpoint, and show a page to drop, record and hear audio",
        options=(
            *("ckpt", "host", "port", "task.", "device", "upstream"),
            *("max_bytes", "max_seconds", "max_waiting"),
        ),
    ),
}
