"""SUPERB's problems: their metrics, the learning rates that are searched, and the published rows.

Yang et al., "SUPERB: Speech processing Universal PERformance Benchmark", Interspeech 2021. The grids of learning rates
are those of s3prl's authors. The published rows are those of Chen et al., "WavLM", arXiv 2110.13900v1, Table 3.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkTask:
    """A problem in the table.

    Args:
        problem: a key of the registry.
        columns: (metric, heading, scale) of each column: a number times its scale is shown.
        learning_rates: SUPERB's grid; empty if nothing is trained.
    """

    problem: str
    columns: tuple[tuple[str, str, float], ...]
    learning_rates: tuple[float, ...] = ()


def _powers(first: int, last: int) -> tuple[float, ...]:
    return tuple(float(f"1e-{exponent}") for exponent in range(first, last + 1))


TASKS = {
    own.problem: own
    for own in (
        BenchmarkTask("pr", (("per", "PR PER", 100),), _powers(1, 5)),
        BenchmarkTask("ks", (("accuracy", "KS acc", 100),), _powers(0, 6)),
        BenchmarkTask("ic", (("accuracy", "IC acc", 100),), _powers(0, 6)),
        BenchmarkTask("sid", (("accuracy", "SID acc", 100),), _powers(0, 5)),
        BenchmarkTask("er", (("accuracy", "ER acc", 100),), _powers(0, 5)),
        BenchmarkTask("asr", (("wer", "ASR WER", 100),), _powers(3, 5)),
        BenchmarkTask("qbe", (("mtwv", "QbE MTWV", 1),)),
        BenchmarkTask("sf", (("slot_type_f1", "SF F1", 100), ("slot_value_cer", "SF CER", 100)), _powers(3, 5)),
        BenchmarkTask("asv", (("eer", "ASV EER", 100),), (1e-4,)),
        BenchmarkTask("sd", (("der", "SD DER", 100),), _powers(2, 5)),
    )
}
"""By problem, in the order of the columns."""

PUBLISHED: dict[str, dict[str, float]] = {
    name: dict(zip(("pr", "ks", "ic", "sid", "er", "asr", "qbe", "sf", "sf_cer", "asv", "sd"), values))
    for name, values in {
        "FBANK": (82.01, 8.63, 9.10, 8.5e-4, 35.39, 23.18, 0.0058, 69.64, 52.94, 9.56, 10.05),
        "wav2vec 2.0 Base": (5.74, 96.23, 92.35, 75.18, 63.43, 6.43, 0.0233, 88.30, 24.77, 6.02, 6.08),
        "HuBERT Base": (5.41, 96.30, 98.34, 81.42, 64.92, 6.42, 0.0736, 88.53, 25.20, 5.11, 5.88),
        "HuBERT Large": (3.53, 95.29, 98.76, 90.33, 67.62, 3.62, 0.0353, 89.81, 21.76, 5.98, 5.75),
        "WavLM Base": (4.84, 96.79, 98.63, 84.51, 65.94, 6.21, 0.0870, 89.38, 22.86, 4.69, 4.83),
        "WavLM Base+": (4.07, 96.69, 99.16, 86.84, 67.98, 5.64, 0.0990, 89.73, 21.54, 4.26, 4.07),
        "WavLM Large": (3.09, 97.40, 99.10, 95.25, 70.03, 3.51, 0.0827, 92.25, 17.61, 4.04, 3.47),
    }.items()
}
"""By upstream, as published: asv, qbe and sd with choices on the test set. ``sf_cer``: the second metric of ``sf``."""

REFERENCE = ("FBANK", "WavLM Large")
"""The rows that score 0 and 1000 in SUPERB's score."""
