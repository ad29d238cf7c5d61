"""An upstream as an encoder of MAEB: mteb's own task FSDD, on a local copy of its recordings.

    python benchmarks/maeb.py DATA/fsdd [--upstream NAME] [--conf YAML]

Needs mteb, and no network. The split is that of ``metadata.csv`` and not that of the published task, so that the
figures are not MAEB's. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import datasets
import mteb
import numpy as np
import pandas as pd
import soundfile
from mteb.tasks.classification.eng.fsdd import FSDD

from problems.engine.config import yaml_text
from soundstage import MAEBEncoder


class LocalFSDD(FSDD):
    """The task on the recordings of ``root``."""

    root: Path

    def load_data(self, *args: object, **kwargs: object) -> None:
        """Read the recordings that ``metadata.csv`` lists."""
        table = pd.read_csv(self.root / "metadata.csv", dtype=str)
        self.dataset = datasets.DatasetDict({name: self._split(part) for name, part in table.groupby("split")})
        self.data_loaded = True

    def _split(self, table: pd.DataFrame) -> datasets.Dataset:
        audio = []
        for path in table["path"]:
            wave, rate = soundfile.read(self.root / path, dtype="float32")
            audio.append({"array": np.asarray(wave), "sampling_rate": rate})
        return datasets.Dataset.from_dict({"audio": audio, "label": table["label"].astype(int).tolist()})


def main() -> None:
    """Run the task and print its scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--upstream", default="fbank")
    parser.add_argument("--conf", default="{}", help="its settings as YAML")
    options = parser.parse_args()
    task, began = LocalFSDD(), time.monotonic()
    task.root = options.root
    encoder = MAEBEncoder(options.upstream, yaml_text.load(options.conf))
    with tempfile.TemporaryDirectory() as folder:
        cache = mteb.ResultCache(cache_path=folder)
        result = mteb.evaluate(encoder, tasks=[task], cache=cache, encode_kwargs={"batch_size": 16})
    (scores,) = result.task_results[0].scores["test"]
    figures = {name: round(scores[name], 4) for name in ("accuracy", "f1")}
    own = {"mteb": mteb.__version__, "task": task.metadata.name, "encoder": result.model_name}
    print(json.dumps({**own, **figures, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
