"""The time of each decoder of speech recognition, beside that of the model itself.

    python benchmarks/decoding.py --run result/asr/joint [--utterances 64] [--batch 16] [--beam 16]

Decodes the first utterances of the run's test set in batches: by CTC's best path, by prefix beam search without and
with a 3-gram of the training transcripts, and by CTC and attention together if the model has an attention decoder.
Prints one JSON line: utterances per CPU second of each (per second on a GPU), and how many times the best path's the
rest of the work takes: the decoder alone, and the model with it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

import problems
from dataset.audio import read
from dataset.language.ngrams import learn
from dataset.metadata import read_csv
from tasks.decoding import CTCDecoder
from tasks.joint import JointDecoder


def main() -> None:
    """Time all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="target folder of a trained recogniser")
    parser.add_argument("--utterances", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--beam", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    transcripts = read_csv(options.run / "data" / "train.csv", ("transcription",))["transcription"]
    own = problems.load(str(options.run), device=options.device)
    task, ngrams = own.task, learn(list(transcripts), 3)
    paths = list(read_csv(options.run / "data" / "test.csv", ("wav_path",))["wav_path"])[: options.utterances]
    waves = sorted((torch.as_tensor(read(path)) for path in paths), key=len)
    clock = time.process_time if options.device == "cpu" else time.perf_counter  # others may be busy beside us

    def seconds(function, *arguments):
        began = clock()
        value = function(*arguments)
        if options.device != "cpu":
            torch.cuda.synchronize()
        return clock() - began, value

    def outputs():
        batches = [waves[first : first + options.batch] for first in range(0, len(waves), options.batch)]
        lengths = [torch.tensor([len(wave) for wave in batch], device=options.device) for batch in batches]
        padded = [torch.nn.utils.rnn.pad_sequence(batch, batch_first=True).to(options.device) for batch in batches]
        return [task.run_model({"wav": wav, "wav_len": length}) for wav, length in zip(padded, lengths)]

    beam, words = {"name": "beam", "beam": options.beam}, {"ngrams": ngrams}
    settings = {"greedy": {}, "beam": beam, "beam and 3-gram": beam | words}
    attention = getattr(task.model, "attention_decoder", None)
    if attention is not None:
        joint = beam | {"name": "joint"}
        settings |= {"joint": joint, "joint and 3-gram": joint | words, "joint, beam 4": joint | {"beam": 4}}
    with torch.inference_mode():
        outputs()
        model_seconds, batches = seconds(outputs)
        times = {}
        for name, own_settings in settings.items():
            decoder = (
                CTCDecoder(task.encoder, **own_settings)
                if attention is None
                else JointDecoder(task.encoder, attention, **own_settings)
            )
            decoder(*batches[0])
            times[name], _ = seconds(lambda decoder=decoder: [decoder(*batch) for batch in batches])
    result = {
        name: {
            "utterances_per_s": round(len(waves) / (model_seconds + own_seconds), 1),
            "decoder_times_greedy": round(own_seconds / times["greedy"], 1),
            "whole_times_greedy": round((model_seconds + own_seconds) / (model_seconds + times["greedy"]), 2),
        }
        for name, own_seconds in times.items()
    }
    sizes = {"utterances": len(waves), "batch": options.batch, "beam": options.beam, "device": options.device}
    print(json.dumps({"work": "decoding", **sizes, "model_seconds": round(model_seconds, 3), **result}))


if __name__ == "__main__":
    main()
