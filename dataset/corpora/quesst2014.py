"""QUESST 2014: query by example in six languages (Anguera et al., MediaEval 2014)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, lines, require_file
from dataset.corpora.csv_queries import rows_of
from dataset.setting import REQUIRED, setting

SPLITS = {"valid": "dev", "test": "eval"}


@dataclasses.dataclass
class QUESST2014(Corpus):
    """The folder ``quesst14Database`` as its archive unpacks: ``Audio``, ``dev_queries``, ``eval_queries``, and
    ``scoring`` with ``language_key_{utterances,dev,eval}.lst`` and ``groundtruth_quesst14_<set>/quesst14_<set>.rttm``.

    The queries of dev are for validation, those of eval for the test; both are searched for in the same documents. A
    query is matched by the documents that the RTTM lists for it.

    Columns: ``id, wav_path, kind`` (query or document) and ``matches`` (JSON: ids of documents).
    """

    dataset_root: str = setting(REQUIRED, "folder that holds Audio, dev_queries, eval_queries and scoring")
    language: str | None = setting(
        "nnenglish", "of queries and documents, as in the lists; SUPERB takes nnenglish; null: all"
    )

    def sources(self) -> list[Path]:
        """The lists, and the RTTM files of the matches."""
        return [self._list(name) for name in ("utterances", *SPLITS.values())] + list(map(self._rttm, SPLITS.values()))

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split; the training set is the validation set, and is not read."""
        documents = self._paths("utterances")
        rows = {split: self._rows(name, documents) for split, name in SPLITS.items()}
        return Splits(train=rows["valid"], valid=rows["valid"], test={"test": rows["test"]})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _list(self, name: str) -> Path:
        return self._root / "scoring" / f"language_key_{name}.lst"

    def _rttm(self, name: str) -> Path:
        return self._root / "scoring" / f"groundtruth_quesst14_{name}" / f"quesst14_{name}.rttm"

    def _paths(self, name: str) -> dict[str, str]:
        """The paths of the files of a list in the language, by id."""
        file, languages, paths = require_file(self._list(name), "dataset_root"), set(), {}
        for number, (path, language) in lines(file, 2):
            languages.add(language)
            if self.language in (None, language):
                below = Path(path.replace("\\", "/"))
                parts = below.parts[1:] if len(below.parts) > 2 else below.parts  # without quesst14Database
                if below.stem in paths:
                    raise CorpusError(f"{file}, line {number}: {below.stem!r} is listed before")
                paths[below.stem] = str(self._root.joinpath(*parts))
        if not paths:
            raise CorpusError(f"{file} lists nothing in {self.language!r}; it has {', '.join(sorted(languages))}")
        return paths

    def _rows(self, name: str, documents: dict[str, str]) -> list[Row]:
        queries, file = self._paths(name), require_file(self._rttm(name), "dataset_root")
        matches: dict[str, list[str]] = {query: [] for query in queries}
        for _, words in lines(file):
            if words[0] == "LEXEME" and len(words) > 2 and words[1] in documents:
                for query in queries.keys() & set(words[2:]):
                    matches[query].append(words[1])
        if not any(matches.values()):
            raise CorpusError(f"{file} lists no document for any query of {self._list(name)}")
        return rows_of(queries, documents, matches)
