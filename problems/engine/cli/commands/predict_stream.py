"""``predict --stream``: partial and final predictions of recordings as they come."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dataset.wording import nearest
from problems.engine.cli.arguments import number_of
from problems.engine.runtime.errors import ConfigError

STDIN = "-"
WHOLE = ("out", "enrol", "align", "lexicon", "batch_seconds", "num_workers")
"""Options of ``predict`` for whole recordings."""


def predict_stream(problem: Any, options: Mapping[str, str], words: Sequence[str], task: Mapping[str, Any]) -> int:
    """Write the predictions of each recording as it comes; 1 if one cannot be read."""
    seconds, raw_rate = _settings(options, words)
    from dataset.audio import AudioError
    from dataset.long_audio.live import chunks_of_pipe
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places.fetch import fetch
    from problems.engine.inference.live import FORMATS, LiveOutput, chunks_of, results
    from problems.engine.inference.predictor import Predictor
    from problems.engine.inference.recordings import Recording, recordings

    form = options.get("format", "text")
    if form not in FORMATS:
        raise ConfigError(
            f"--format {form}{nearest(form, FORMATS)}: partial results are {' or '.join(FORMATS)}; leave out --stream"
            " for the other formats"
        )
    checkpoint = find(fetch(options["ckpt"]))
    predictor = Predictor(checkpoint, problem, options.get("device", "auto"), options.get("upstream"), task)
    predictor.stream()  # refuses a model that cannot, before the first recording is awaited
    output, code = LiveOutput(sys.stdout, form), 0
    for recording in recordings(Recording(word, sys.stdin.buffer) if word == STDIN else word for word in words):
        if recording.source is sys.stdin.buffer:
            chunks = chunks_of_pipe(sys.stdin.fileno(), STDIN, seconds, raw_rate)
        else:
            chunks = chunks_of(recording, seconds)
        try:
            for result, is_final in results(predictor, recording, chunks):
                output.write(result, is_final)
        except AudioError as error:
            output.abandon()
            print(f"error: {error}", file=sys.stderr)
            code = 1
    return code


def _settings(options: Mapping[str, str], words: Sequence[str]) -> tuple[float, int | None]:
    """The seconds of a chunk, and the rate of samples without a header on stdin.

    Raises:
        ConfigError: an option is of whole recordings, or is wrong.
    """
    for key in WHOLE:
        if key in options:
            raise ConfigError(f"--{key} is for whole recordings: leave it out, or leave out --stream")
    if words.count(STDIN) > 1:
        raise ConfigError("stdin (-) is one recording: name it once")
    if STDIN in words and sys.stdin.isatty():
        raise ConfigError("stdin (-) is a terminal: pipe audio into it, as in arecord -t raw ... | ... predict ... -")
    if "raw" not in options:
        raw_rate = None
    elif STDIN not in words:
        raise ConfigError("--raw is the rate of samples on stdin: name stdin (-), or leave --raw out")
    else:
        raw_rate = round(number_of("raw", options["raw"], 1000, 768_000))
    return number_of("chunk_ms", options.get("chunk_ms", "100"), 1, 60_000) / 1000, raw_rate
