"""Features in 8 bits beside those in 16 and 32: bytes, error, and the metric of keyword spotting with its interval.

    python benchmarks/int8_features.py CORPUS_FOLDER [--steps N]

``CORPUS_FOLDER`` has a ``metadata.csv`` with the columns ``path`` and ``text``, and its audio. The upstream is a small
wav2vec 2.0 with random weights, frozen; the head is SUPERB's on layers that are normalised, for which frames are cached
and not means. Prints one JSON line: the bytes of the cache, the error of 8 bits by layer, the test accuracy of each
type, and the difference of 16 and 8 bits from 32 on the same utterances with its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it

import problems
from problems.benchmark.runs.one_pass import run_in_one_pass
from problems.engine.report import paired
from tasks.metrics.kinds import from_json

DTYPES = ("fp32", "fp16", "int8")
SHAPE = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 192}


def write_encoder(folder: Path) -> None:
    """A small wav2vec 2.0 with random weights, in the form of transformers."""
    import torch
    import transformers

    torch.manual_seed(0)
    convolutions = {"conv_dim": [64] * 7, "num_conv_pos_embedding_groups": 4, "feat_extract_norm": "layer"}
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SHAPE, **convolutions)).save_pretrained(folder)


def words_of(options: argparse.Namespace, root: Path, dtype: str) -> list[str]:
    """A training and a test with features of a type."""
    return [
        f"--target_dir={root / dtype}",
        f"--cache_dir={root / f'cache_{dtype}'}",
        "--prepare_data.corpus=csv",
        f"--prepare_data.train={options.corpus / 'metadata.csv'}",
        "--prepare_data.columns={wav_path: path, label: text}",
        "--prepare_data.test_fraction=0.3",
        "--build_downstream.name=mean_pool_linear",
        "--build_downstream.conf={hidden_size: 64}",
        "--build_featurizer.normalize=true",
        "--build_upstream.name=hf",
        f"--build_upstream.conf={{model: '{root / 'encoder'}', normalise: true}}",
        "--features.cache=disk",
        f"--features.dtype={dtype}",
        "--build_optimizer.conf.lr=0.01",
        f"--train.total_steps={options.steps}",
        f"--train.eval_step={options.steps}",
        "--evaluate.baselines=false",
        "--num_workers=0",
    ]


def errors_in(cache: Path) -> list[float]:
    """The largest stated error of each layer in the shards of a cache."""
    from safetensors import safe_open

    stated = []
    for path in cache.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            stated.append(json.loads(file.metadata()["relative_error"]))
    return [max(own) for own in zip(*stated)]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    options = parser.parse_args()
    figures: dict[str, Any] = {"corpus": options.corpus.name, "steps": options.steps, "types": {}}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_encoder(root / "encoder")
        for dtype in DTYPES:
            (end,) = run_in_one_pass(problems.get("ks"), [words_of(options, root, dtype)])
            if end.code:
                raise SystemExit(end.message)
            report = json.loads((root / dtype / "report" / "results.json").read_text("utf-8"))
            (predictions,) = (root / dtype / "evaluate").rglob("predictions.csv")
            rows[dtype] = paired.read_rows(predictions)
            metrics = report["checkpoints"][report["best"]["checkpoint"]]["test"]
            size = sum(path.stat().st_size for path in (root / f"cache_{dtype}").rglob("*.safetensors"))
            figures["types"][dtype] = {"bytes": size, "accuracy": metrics["accuracy"]}
            if dtype != DTYPES[0]:
                declarations = from_json(report["declarations"])
                comparison = next(
                    f for f in paired.compare(rows["fp32"], rows[dtype], declarations, {}) if f.metric == "accuracy"
                )
                difference = {"difference": comparison.difference, "interval": [comparison.low, comparison.high]}
                figures["types"][dtype] |= {"test_utterances": len(rows[dtype]), **difference}
        figures["relative_error_by_layer"] = errors_in(root / "cache_int8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
