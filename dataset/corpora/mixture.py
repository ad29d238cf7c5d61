"""Several corpora as one: trained on together, tested apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.setting import REQUIRED, setting
from dataset.wording import nearest


@dataclasses.dataclass
class Mixture(Corpus):
    """Named corpora with their own settings: ``{digits: {corpus: fsdd, dataset_root: DIR}, mine: {corpus: csv, ...}}``.

    Rows get the column ``corpus``, and ids begin with its name. Training and validation sets are joined; each corpus
    keeps its own test sets, called ``<corpus>-<test set>``. The batch sampler ``mixed`` takes parts of each.
    """

    sets: dict = setting(REQUIRED, "corpora by name, each with corpus and its own settings")

    def sources(self) -> list[Path]:
        """Those of every corpus."""
        return list(dict.fromkeys(path for corpus in self._corpora().values() for path in corpus.sources()))

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """Those of every corpus."""
        return [path for corpus in self._corpora().values() for path in corpus.made_audio(cache_dir)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        joined = Splits([], [], {})
        for name, corpus in self._corpora().items():
            splits = corpus.load(cache_dir)
            joined.train += _named(splits.train, name)
            joined.valid += _named(splits.valid, name)
            for test, rows in splits.test.items():
                if f"{name}-{test}" in joined.test:
                    raise CorpusError(f"sets.{name}: there are two test sets called {name}-{test}; rename a corpus")
                joined.test[f"{name}-{test}"] = _named(rows, name)
        return joined

    def _corpora(self) -> dict[str, Corpus]:
        if not isinstance(self.sets, Mapping) or not self.sets:
            raise CorpusError(f"sets is {self.sets!r}; expected {{name: {{corpus: ..., its settings}}, ...}}")
        return {str(name): corpus_of(f"sets.{name}", settings) for name, settings in self.sets.items()}


def corpus_of(key: str, settings: Any) -> Corpus:
    """The corpus of ``{corpus: name, its settings}``.

    Args:
        key: where that stands, for errors.
    """
    from dataset.corpora import CORPORA, get_corpus

    if not isinstance(settings, Mapping) or settings.get("corpus") not in CORPORA:
        got = settings.get("corpus") if isinstance(settings, Mapping) else settings
        raise CorpusError(
            f"{key}: {got!r} is no corpus{nearest(str(got), CORPORA)}; expected {{corpus: ..., its settings}},"
            f" with one of {', '.join(CORPORA)}"
        )
    kind = get_corpus(settings["corpus"])
    known = {field.name for field in dataclasses.fields(kind)}
    values = {key: value for key, value in settings.items() if key != "corpus"}
    for name in values:
        if name not in known:
            raise CorpusError(f"{key}.{name}: {settings['corpus']} has no such setting{nearest(name, known)}")
    corpus = kind(**values)
    missing = [name for name in known if getattr(corpus, name) == REQUIRED]
    if missing:
        raise CorpusError(f"{key}.{sorted(missing)[0]}: must be given")
    return corpus


def _named(rows: list[Row], name: str) -> list[Row]:
    if rows and "wav_path1" in rows[0]:
        raise CorpusError(f"sets.{name}: lists of trials cannot be mixed")
    return [{**row, "id": f"{name}-{row['id']}", "corpus": name} for row in rows]
