"""Problems along time on real speech: phones by a lexicon, who spoke when with and without training, queries of words.

    python benchmarks/along_time.py DATA [--work pr sd clustering qbe] [--steps 2000] [--out result/along_time]

DATA holds librispeech_small, libri2mix_rttm, ami_excerpts_rttm, noise_rir and speech_commands_9. A JSON line for each
result, with the seconds of its command:

pr          Phones of CMUdict, unknown words by g2p, on the ten speakers of test-other, two of them to test on.
sd          SUPERB's way, an output for each speaker and permutation-invariant loss: trained on conversations that are
            simulated from LibriSpeech with noise and rooms, tested on Libri2Mix and AMI at collars of 0 and 0.25 s.
clustering  No training: the embeddings of ge2e, clustered; the same tests.
qbe         Words of Speech Commands as queries, in joined recordings of other speakers; MTWV of each upstream.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import soundfile

import problems
from dataset import SAMPLE_RATE, audio
from dataset.metadata import read_csv, write_csv
from dataset.storage.files import read_json
from problems.engine.cli.main import execute

COLLARS = (0.0, 0.25)
REAL = ("libri2mix_rttm", "ami_excerpts_rttm")
DIARIZATION = ("der", "missed", "false_alarm", "confusion", "jer")
UPSTREAMS = {
    "fbank": "{name: fbank, conf: {cmvn: none}}",
    "fbank, normalised": "{name: fbank, conf: {cmvn: utterance}}",
    "mfcc, deltas": "{name: mfcc, conf: {deltas: 2}}",
}
WORDS_OF_A_DOCUMENT, QUERIES_OF_A_WORD, DOCUMENTS = 5, 5, 150


def command(name: str, *words: str) -> float:
    """Run a verb of a problem, whose tables go to stderr, and return its seconds.

    Raises:
        SystemExit: it failed.
    """
    began = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        code = execute(problems.get(name)(), [*words, "--device=cpu", "--num_workers=1"])
    if code:
        raise SystemExit(f"python -m problems.{name} {' '.join(words)} ended with {code}")
    return round(time.monotonic() - began, 1)


def metrics_of(folder: Path, *names: str) -> dict[str, float]:
    """Some metrics of the checkpoint of a target folder on its test set, as the report has them."""
    results = read_json(folder / "report" / "results.json")
    (test_sets,) = results["checkpoints"].values()
    (metrics,) = test_sets.values()
    return {name: round(metrics[name], 4) for name in names}


def say(work: str, **values: Any) -> None:
    """Print a line."""
    print(json.dumps({"along_time": work, **values}), flush=True)


# ---- pr ----


def recognise_phones(root: Path, out: Path, steps: int) -> None:
    """PER on speakers that were not trained on."""
    train = f"--prepare_data.train={root}/librispeech_small/metadata.csv"
    own = ["--prepare_data.columns={wav_path: path, transcription: text}", "--prepare_data.split_by=speaker"]
    own += ["--prepare_data.where={train: {split: test-other}}"]
    own += ["--prepare_data.valid_fraction=0.1", "--prepare_data.test_fraction=0.2"]
    own += ["--prepare_data.lexicon=cmudict", "--prepare_data.unknown_words=g2p"]
    seconds = command("pr", "run", f"--target_dir={out / 'pr'}", "--prepare_data.corpus=csv", train, *own)
    say("pr", **metrics_of(out / "pr", "per"), seconds=seconds)


# ---- sd ----


def diarize(root: Path, out: Path, steps: int) -> None:
    """DER of outputs for each speaker, trained on simulated conversations."""
    source = f"{{corpus: csv, train: {root}/librispeech_small/metadata.csv, columns: {{wav_path: path}}"
    source += ", valid_fraction: 0.1, test_fraction: 0.1, split_by: speaker}"
    own = ["--prepare_data.corpus=conversations", f"--prepare_data.source={source}", "--build_encoder.outputs=speakers"]
    own += [f"--prepare_data.noise={root}/noise_rir/noise", f"--prepare_data.rooms={root}/noise_rir/rir"]
    own += ["--prepare_data.num_train=600", "--prepare_data.num_valid=40", "--prepare_data.num_test=40"]
    own += [f"--train.total_steps={steps}"]
    seconds = command("sd", "run", f"--target_dir={out / 'sd'}", *own)
    say("sd", test="simulated", **metrics_of(out / "sd", *DIARIZATION), seconds=seconds)
    test_on_real_recordings("sd", out / "sd", root, out)


def cluster(root: Path, out: Path, steps: int) -> None:
    """DER of clustered embeddings; the set that stands for the training data is not used."""
    train, test = (f"--prepare_data.{name}={root}/{own}/metadata.csv" for name, own in zip(("train", "test"), REAL))
    own = ["--prepare_data.corpus=csv_turns", "--prepare_data.columns={wav_path: path}", train, test, "--stop=2"]
    command("sd", "run", "--config=clustering", f"--target_dir={out / 'clustering'}", *own)
    test_on_real_recordings("clustering", out / "clustering", root, out)


def test_on_real_recordings(work: str, trained: Path, root: Path, out: Path) -> None:
    """DER of a trained model on both sets, at each collar."""
    for name in REAL:
        for collar in COLLARS:
            folder = out / f"{work}_{name}_{collar}"
            corpus = ["--test_data.corpus=csv_turns", "--test_data.columns={wav_path: path}"]
            own = [f"--ckpt={trained}", f"--out={folder}", f"--task.scoring.collar={collar}", *corpus]
            seconds = command("sd", "test", *own, f"--data={root}/{name}/metadata.csv")
            say(work, test=name, collar=collar, **metrics_of(folder, *DIARIZATION), seconds=seconds)


# ---- qbe ----


def search(root: Path, out: Path, steps: int) -> None:
    """MTWV of words in recordings of other speakers, for each upstream, with the distance chosen on validation."""
    sets = {name: queries_and_documents(root, out / "queries", name) for name in ("valid", "test")}
    splits = [f"--prepare_data.{name}={json.dumps(files)}" for name, files in sets.items()]
    for name, upstream in UPSTREAMS.items():
        folder = out / f"qbe_{name.replace(', ', '_')}"
        own = [f"--target_dir={folder}", "--prepare_data.corpus=csv_queries", *splits, f"--build_upstream={upstream}"]
        seconds = command("qbe", "run", *own, "--evaluate.settings={distance: [cosine, euclidean]}")
        say("qbe", upstream=name, **metrics_of(folder, "mtwv", "queries", "documents"), seconds=seconds)


def queries_and_documents(root: Path, folder: Path, name: str) -> dict[str, str]:
    """The CSVs of a set: five queries of each word, and documents of five words of other speakers, all of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    words = read_csv(root / "speech_commands_9" / "metadata.csv", ("path", "speaker", "label")).to_dict("records")
    speakers = sorted({row["speaker"] for row in words})
    random.Random(0).shuffle(speakers)
    part = set(speakers[::2] if name == "valid" else speakers[1::2])
    words = [row | {"wav_path": str(root / "speech_commands_9" / row["path"])} for row in words]
    words = [row for row in words if row["speaker"] in part]
    random.Random(1).shuffle(words)
    labels = sorted({row["label"] for row in words})
    queries = [row for label in labels for row in [own for own in words if own["label"] == label][:QUERIES_OF_A_WORD]]
    queriers = {row["speaker"] for row in queries}
    rest = [row for row in words if row["speaker"] not in queriers]
    groups = [rest[first : first + WORDS_OF_A_DOCUMENT] for first in range(0, len(rest), WORDS_OF_A_DOCUMENT)]
    tables: dict[str, list[dict[str, str]]] = {
        "queries": [{"id": f"q{number}", "wav_path": row["wav_path"]} for number, row in enumerate(queries)],
        "documents": [],
        "matches": [],
    }
    for number, group in enumerate(groups[:DOCUMENTS]):
        document = {"id": f"d{number}", "wav_path": str(folder / f"{name}_{number}.flac")}
        sound = np.concatenate([audio.read(row["wav_path"]) for row in group])
        soundfile.write(document["wav_path"], sound, SAMPLE_RATE)
        tables["documents"].append(document)
        said = {row["label"] for row in group}
        matching = [place for place, row in enumerate(queries) if row["label"] in said]
        tables["matches"] += [{"query": f"q{place}", "document": document["id"]} for place in matching]
    for table, rows in tables.items():
        write_csv(folder / f"{name}_{table}.csv", rows)
    return {table: str(folder / f"{name}_{table}.csv") for table in tables}


WORKS = {"pr": recognise_phones, "sd": diarize, "clustering": cluster, "qbe": search}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="DATA")
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--steps", type=int, default=2000, help="of the training of sd")
    parser.add_argument("--out", type=Path, default=Path("result/along_time"))
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    for work in arguments.work:
        WORKS[work](arguments.root.absolute(), out, arguments.steps)


if __name__ == "__main__":
    main()
