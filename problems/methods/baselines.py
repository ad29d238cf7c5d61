"""Trivial models on the data of a run, which any trained model must beat."""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataset.collate import collate
from dataset.language.slots import meaning
from dataset.loader import LoaderSettings, eval_stream
from dataset.metadata import read_csv
from dataset.utterances import Utterances
from nn.featurizer import Featurizer
from nn.pooling import MeanPooling
from nn.upstream.signal.kaldi import Fbank
from tasks import SEPARATOR
from tasks.metrics import regression, slots
from tasks.metrics.classification import accuracy, macro_f1, unweighted_average_recall
from tasks.metrics.text import char_errors, corpus_rate, word_errors
from tasks.metrics.verification import TrialScores
from tasks.verification.scoring import Scorer
from tasks.verification.trials import Trials

log = logging.getLogger(__name__)

MOST_TRAINING = 5000
"""Training utterances that a baseline learns from; more of them change little and take minutes to read."""
MOST_LABELS = 500
"""Labels up to which logistic regression is fitted."""
NUM_MEL_BINS = 80
NEIGHBOURS = 10
"""As the unparameterised probe of X-ARES, Zhang et al. 2025."""
BATCH, STATES_BATCH = 32, 8

Metrics = dict[str, float]
Baselines = dict[str, dict[str, Metrics]]
"""The metrics of each trivial model, by test set and model."""


def of_slots(train_csv: str, test_csvs: Sequence[str]) -> Baselines:
    """The most frequent names of slots, for every utterance."""
    names = [frozenset(name for name, _ in own) for own in _slots_of(train_csv) if own]
    frequent = [(name, "") for name in sorted(Counter(names).most_common(1)[0][0])] if names else []
    baselines: Baselines = {}
    for csv in test_csvs:
        values = [slots.score(own, frequent).type_f1 for own in _slots_of(csv)]
        baselines[Path(csv).stem] = {"most frequent slots": {"slot_type_f1": sum(values) / len(values)}}
    return baselines


def _slots_of(csv: str) -> list[list[tuple[str, str]]]:
    return [meaning(text).slots for text in read_csv(csv, ("id", "transcription"))["transcription"]]


def of_labels(
    train_csv: str,
    test_csvs: Sequence[str],
    column: str,
    *,
    has_slots: bool,
    num_workers: int,
    upstream: torch.nn.Module | None = None,
    device: str = "cpu",
) -> Baselines:
    """The most frequent label, and logistic regression on pooled filter banks; for each slot of a label alone.

    Args:
        has_slots: True if a cell is ``a ; b``, one label for each slot.
        upstream: probed too: the mean over layers and time of its states, by logistic regression and by neighbours.

    Raises:
        AudioError: an utterance cannot be read.
    """
    chosen = _sample(read_csv(train_csv, ("id", column))["id"].tolist())
    train = _slots(train_csv, column, has_slots)
    frequent = [Counter(slot).most_common(1)[0][0] for slot in train]
    kinds: list[tuple[Callable[..., np.ndarray], dict[str, Callable]]] = []
    if max(len(set(slot)) for slot in train) > MOST_LABELS:
        log.info("no logistic regression: the training set has more than %d labels", MOST_LABELS)
    else:
        kinds.append((pooled_filter_banks, {"logistic regression": _logistic_regression}))
        if upstream is not None:
            probes = {"logistic regression on the upstream": _logistic_regression, "kNN on the upstream": _neighbours}
            kinds.append((functools.partial(mean_states, upstream, device=device, all_layers=True), probes))
    models = []
    for features, fits in kinds:
        x = features(Utterances(train_csv), chosen, num_workers=num_workers)
        fitted = {name: [fit(x, [slot[i] for i in chosen]) for slot in train] for name, fit in fits.items()}
        models.append((features, fitted))
    baselines = {}
    for csv in test_csvs:
        references, utterances = list(zip(*_slots(csv, column, has_slots))), Utterances(csv)
        by_model = {"most frequent label": [tuple(frequent)] * len(references)}
        for features, fitted in models:
            x = features(utterances, range(len(utterances)), num_workers=num_workers)
            by_model |= {name: list(zip(*(model(x) for model in own))) for name, own in fitted.items()}
        baselines[Path(csv).stem] = {
            name: _label_metrics(references, hypotheses) for name, hypotheses in by_model.items()
        }
    return baselines


def of_trials(
    train_csv: str,
    test_csvs: Sequence[str],
    cache_dir: str,
    *,
    num_workers: int,
    upstream: torch.nn.Module | None = None,
    device: str = "cpu",
) -> Baselines:
    """The cosine of pooled filter banks, each feature normalised over training utterances, and that of an upstream.

    Args:
        upstream: its last state, averaged over time, is compared if it has weights.

    Raises:
        AudioError: an utterance cannot be read.
    """
    from dataset.trial_tables import read_trials, utterance_table

    train = Utterances(train_csv)
    x = pooled_filter_banks(train, _sample(list(train.ids))[:1000], num_workers)
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    baselines = {}
    for csv in test_csvs:
        table, paths = read_trials(csv)
        utterances, trials = Utterances(csv, table=utterance_table(paths, cache_dir)), Trials.of(table)
        embeddings = pooled_filter_banks(utterances, range(len(utterances)), num_workers)
        by_model = {"cosine of pooled filter banks": (embeddings - mean) / deviation}
        if upstream is not None and any(True for _ in upstream.parameters()):
            states = mean_states(upstream, utterances, num_workers=num_workers, device=device)
            by_model["cosine of the upstream"] = states
        baselines[Path(csv).stem] = {
            name: {"eer": TrialScores(Scorer().score(list(utterances.ids), x, trials), trials.targets).eer}
            for name, x in by_model.items()
        }
    return baselines


def mean_states(
    upstream: torch.nn.Module,
    utterances: Utterances,
    indices: Sequence[int] | None = None,
    *,
    num_workers: int,
    device: str = "cpu",
    all_layers: bool = False,
) -> np.ndarray:
    """The mean over time of an upstream's last state, for each utterance: float32 (N, H); zeros without a frame.

    Args:
        indices: of the utterances; None for all.
        all_layers: of the mean of all its states instead, if they are of one size.
    """
    is_one_size = len(set(upstream.hidden_sizes)) == len(set(upstream.downsample_rates)) == 1
    selection, readout = (None, "mean") if all_layers and is_one_size else ("last", None)
    featurizer = Featurizer(upstream, selection, readout=readout)
    indices = np.arange(len(utterances)) if indices is None else np.asarray(indices)
    order = indices[np.argsort(-utterances.seconds[indices], kind="stable")]  # little padding
    batches = [order[start : start + STATES_BATCH].tolist() for start in range(0, len(order), STATES_BATCH)]
    stream = eval_stream(utterances, batches, collate, LoaderSettings(num_workers=num_workers))
    upstream, pooling = upstream.to(device).eval(), MeanPooling()
    means = np.zeros((len(utterances), featurizer.output_size), np.float32)
    with torch.inference_mode():
        for batch, chosen in zip(stream, batches):
            x, lengths = featurizer(*upstream(batch["wav"].to(device), batch["wav_len"].to(device)))
            means[chosen] = pooling(x.float(), lengths).cpu().numpy()
    return means[indices]


def of_texts(train_csv: str, test_csvs: Sequence[str]) -> Baselines:
    """The most frequent word of the training texts, once for each utterance."""
    texts = read_csv(train_csv, ("id", "transcription"))["transcription"]
    counts = Counter(word for text in texts for word in text.split())
    word = counts.most_common(1)[0][0] if counts else ""
    baselines = {}
    for csv in test_csvs:
        references = read_csv(csv, ("id", "transcription"))["transcription"].tolist()
        wer, _ = corpus_rate((word_errors(text, word) for text in references), "word")
        cer, _ = corpus_rate((char_errors(text, word) for text in references), "character")
        baselines[Path(csv).stem] = {"most frequent word": {"wer": wer, "cer": cer}}
    return baselines


def of_numbers(train_csv: str, test_csvs: Sequence[str], column: str, *, num_workers: int) -> Baselines:
    """The mean of the training set, and ridge regression on pooled filter banks.

    Raises:
        AudioError: an utterance cannot be read.
    """
    train = read_csv(train_csv, ("id", column))
    numbers, chosen = [float(text) for text in train[column]], _sample(train["id"].tolist())
    mean = math.fsum(numbers) / len(numbers)
    x = pooled_filter_banks(Utterances(train_csv), chosen, num_workers)
    predict = _ridge_regression(x, [numbers[index] for index in chosen])
    baselines: Baselines = {}
    for csv in test_csvs:
        rows, utterances = read_csv(csv, ("id", column)), Utterances(csv)
        references = [float(text) for text in rows[column]]
        systems = rows["system"].tolist() if "system" in rows else None
        hypotheses = predict(pooled_filter_banks(utterances, range(len(utterances)), num_workers))
        baselines[Path(csv).stem] = {
            "mean of the training set": regression.errors(references, [mean] * len(references)),
            "ridge regression": regression.all_metrics(references, hypotheses, systems),
        }
    return baselines


def pooled_filter_banks(utterances: Any, indices: Sequence[int], num_workers: int) -> np.ndarray:
    """Mean and standard deviation over time of log mel filter banks: float32 (N, 160); zeros without a frame."""
    batches = [list(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]
    stream = eval_stream(_Pooled(utterances), batches, np.stack, LoaderSettings(num_workers=num_workers))
    return np.concatenate(list(stream)) if batches else np.zeros((0, 2 * NUM_MEL_BINS), np.float32)


class _Pooled(torch.utils.data.Dataset):
    """The pooled filter banks of utterances, computed where they are read."""

    def __init__(self, utterances: Any):
        self.utterances = utterances
        self.filter_banks = Fbank(num_mel_bins=NUM_MEL_BINS, cmvn="none")

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> np.ndarray:
        wav = self.utterances[index]["wav"]
        (frames,), (length,) = self.filter_banks(wav[None], torch.tensor([len(wav)]))
        frames = frames[0, : int(length)]
        if not len(frames):
            return np.zeros(2 * NUM_MEL_BINS, np.float32)
        return torch.cat([frames.mean(dim=0), frames.std(dim=0, correction=0)]).numpy()


def _logistic_regression(x: np.ndarray, labels: Sequence[str]) -> Callable[[np.ndarray], list[str]]:
    """Fit scikit-learn's logistic regression to normalised features; return its prediction for other features."""
    if len(set(labels)) < 2:
        return lambda features: [labels[0]] * len(features)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 iterations are enough for a baseline, converged or not
        model.fit(x, labels)
    return lambda features: model.predict(features).tolist() if len(features) else []


def _neighbours(x: np.ndarray, labels: Sequence[str]) -> Callable[[np.ndarray], list[str]]:
    """Return a prediction by the most frequent label of the ten nearest training utterances, by cosine."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(NEIGHBOURS, len(labels)), metric="cosine").fit(x, labels)
    return lambda features: model.predict(features).tolist() if len(features) else []


def _ridge_regression(x: np.ndarray, numbers: Sequence[float]) -> Callable[[np.ndarray], list[float]]:
    """Fit scikit-learn's ridge regression to normalised features, with its strength chosen by leaving one out."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-1, 5, 13)))
    model.fit(x.astype(np.float64), numbers)
    return lambda features: model.predict(features.astype(np.float64)).tolist()


def _label_metrics(references: Sequence[tuple[str, ...]], hypotheses: Sequence[tuple[str, ...]]) -> Metrics:
    metrics = {"accuracy": accuracy([pair[0] == pair[1] for pair in zip(references, hypotheses)])}
    if len(references[0]) == 1:
        texts = [[label for (label,) in labels] for labels in (references, hypotheses)]
        metrics |= {"macro_f1": macro_f1(*texts), "uar": unweighted_average_recall(*texts)}
    return metrics


def _slots(csv: str, column: str, has_slots: bool) -> list[list[str]]:
    """The labels of each slot: K lists of N."""
    rows = read_csv(csv, ("id", column))[column].tolist()
    if not has_slots:
        return [rows]
    return [list(slot) for slot in zip(*([part.strip() for part in row.split(SEPARATOR.strip())] for row in rows))]


def _sample(ids: Sequence[str]) -> list[int]:
    """The indices of at most ``MOST_TRAINING`` utterances, chosen by a hash of their ids."""
    order = sorted(range(len(ids)), key=lambda index: hashlib.sha256(ids[index].encode()).digest())
    return sorted(order[:MOST_TRAINING])
