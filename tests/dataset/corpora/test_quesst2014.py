"""QUESST 2014: queries and documents of a language, and the matches of the published RTTM files."""

from __future__ import annotations

import json

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.quesst2014 import QUESST2014

LISTS = {
    "utterances": [
        "Audio/quesst14_00001.wav nnenglish",
        "Audio/quesst14_00002.wav nnenglish",
        "Audio/quesst14_00003.wav czech",
    ],
    "dev": ["dev_queries/quesst14_dev_0001.wav nnenglish", "dev_queries/quesst14_dev_0002.wav czech"],
    "eval": ["eval_queries/quesst14_eval_0001.wav nnenglish", "eval_queries/quesst14_eval_0009.wav nnenglish"],
}
MATCHES = {
    "dev": [("00001", "dev_0001"), ("00001", "dev_0001"), ("00003", "dev_0002"), ("00002", "dev_0002")],
    "eval": [("00002", "eval_0001"), ("00003", "eval_0001")],
}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "quesst14Database"
    (root / "scoring").mkdir(parents=True)
    for name, lines in LISTS.items():
        text = "".join(f"quesst14Database/{line}\n" for line in lines)
        (root / "scoring" / f"language_key_{name}.lst").write_text(text)
    for name, pairs in MATCHES.items():
        folder = root / "scoring" / f"groundtruth_quesst14_{name}"
        folder.mkdir()
        lines = [f"LEXEME quesst14_{doc} 1 0.00 5.20 quesst14_{query} lex <NA> 1\n" for doc, query in pairs]
        (folder / f"quesst14_{name}.rttm").write_text("SPKR-INFO quesst14_00001 1 <NA>\n" + "".join(lines))
    return root


def matches(rows):
    return {row["id"]: json.loads(row["matches"]) for row in rows if row["kind"] == "query"}


def test_english_queries_in_english_documents(root, tmp_path):
    splits = QUESST2014(dataset_root=str(root)).load(tmp_path)
    assert matches(splits.valid) == {"quesst14_dev_0001": ["quesst14_00001"]}
    assert matches(splits.test["test"]) == {"quesst14_eval_0001": ["quesst14_00002"], "quesst14_eval_0009": []}
    paths = {row["id"]: row["wav_path"] for row in splits.valid if row["kind"] == "document"}
    assert paths == {f"quesst14_0000{n}": str(root / f"Audio/quesst14_0000{n}.wav") for n in (1, 2)}
    assert splits.valid[0]["wav_path"] == str(root / "dev_queries/quesst14_dev_0001.wav")


def test_all_languages(root, tmp_path):
    corpus = QUESST2014(dataset_root=str(root), language=None)
    assert matches(corpus.load(tmp_path).valid)["quesst14_dev_0002"] == ["quesst14_00002", "quesst14_00003"]
    assert len(list(corpus.sources())) == 5 and all(path.is_file() for path in corpus.sources())


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(CorpusError, match="lists nothing in 'english'; it has czech, nnenglish"):
        QUESST2014(dataset_root=str(root), language="english").load(tmp_path)
    (root / "scoring/groundtruth_quesst14_eval/quesst14_eval.rttm").write_text("")
    with pytest.raises(CorpusError, match="quesst14_eval.rttm lists no document for any query"):
        QUESST2014(dataset_root=str(root)).load(tmp_path)
    with pytest.raises(CorpusError, match="there is no file .*language_key_utterances.lst"):
        QUESST2014(dataset_root=str(tmp_path)).load(tmp_path)
