"""The user's own queries, documents and matches."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_place
from dataset.corpora.common.tables import read_table
from dataset.setting import REQUIRED, setting
from dataset.wording import nearest

PARTS = ("queries", "documents", "matches")
QUERY, DOCUMENT = "query", "document"


@dataclasses.dataclass
class CsvQueries(Corpus):
    """Three CSV files a set: ``queries`` and ``documents`` with ``id, wav_path``, and ``matches`` with ``query,
    document``, a row for each document that has a query.

    Columns: ``id, wav_path, kind`` (query or document) and ``matches`` (JSON: ids of documents). There is nothing to
    train on: the training set is the validation set, and is not read.
    """

    valid: dict = setting(REQUIRED, "to choose settings on: {queries: CSV, documents: CSV, matches: CSV}")
    test: dict = setting(REQUIRED, "to test on: {queries: CSV, documents: CSV, matches: CSV}")

    def sources(self) -> list[Path]:
        """All files."""
        files = [path for own in (self.valid, self.test) if isinstance(own, Mapping) for path in own.values()]
        return [absolute(path) for path in files if isinstance(path, str)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        valid, test = _rows("valid", self.valid), _rows("test", self.test)
        return Splits(train=valid, valid=valid, test={"test": test})

    def load_tests(self, cache_dir: Path) -> dict[str, list[Row]]:
        """Rows of the test set; ``valid`` is not read."""
        return {"test": _rows("test", self.test)}


def _rows(split: str, files: Any) -> list[Row]:
    if (
        not isinstance(files, Mapping)
        or set(files) != set(PARTS)
        or not all(isinstance(path, str) for path in files.values())
    ):
        raise CorpusError(f"{split} is {files!r}; expected {{queries: CSV, documents: CSV, matches: CSV}}")
    tables = {part: read_table(absolute(files[part])) for part in PARTS}
    columns = {"queries": ("id", "wav_path"), "documents": ("id", "wav_path"), "matches": ("query", "document")}
    for part, lines in tables.items():
        for name in columns[part]:
            if lines and name not in lines[0][1]:
                header = list(lines[0][1])
                raise CorpusError(f"{files[part]} has no column {name!r}{nearest(name, header)}; it has {header}")
    paths = {part: _paths(tables[part], files[part]) for part in ("queries", "documents")}
    matches: dict[str, list[str]] = {id: [] for id in paths["queries"]}
    for number, line in tables["matches"]:
        for part, name in (("queries", line["query"]), ("documents", line["document"])):
            if name not in paths[part]:
                raise CorpusError(
                    f"{files['matches']}, line {number}: {name!r} is not in {files[part]}{nearest(name, paths[part])}"
                )
        matches[line["query"]].append(line["document"])
    return rows_of(paths["queries"], paths["documents"], matches)


def _paths(lines: list[tuple[int, Row]], file: str) -> dict[str, str]:
    """The path of each id."""
    paths: dict[str, str] = {}
    for number, line in lines:
        if not line["id"] or not line["wav_path"]:
            raise CorpusError(f"{file}, line {number}: the id or the path is empty")
        if line["id"] in paths:
            raise CorpusError(f"{file}, line {number}: the id {line['id']!r} is used before")
        paths[line["id"]] = audio_place(line["wav_path"], absolute(file).parent)
    return paths


def rows_of(queries: Mapping[str, str], documents: Mapping[str, str], matches: Mapping[str, list[str]]) -> list[Row]:
    """Rows of metadata from the paths of queries and documents by id, and the documents of each query.

    Raises:
        CorpusError: an id is that of a query and of a document.
    """
    shared = sorted(queries.keys() & documents.keys())
    if shared:
        raise CorpusError(f"{shared[0]!r} is the id of a query and of a document")
    rows = [
        {"id": id, "wav_path": path, "kind": QUERY, "matches": json.dumps(sorted(set(matches[id])), ensure_ascii=False)}
        for id, path in queries.items()
    ]
    return rows + [{"id": id, "wav_path": path, "kind": DOCUMENT, "matches": ""} for id, path in documents.items()]
