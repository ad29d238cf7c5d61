"""CN-Celeb trains on the speakers of its list and reads its trials."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.cn_celeb import CNCeleb
from tests.parts.corpora import touch


def test_training_speakers_and_trials_are_those_of_the_lists(tmp_path):
    root = tmp_path / "CN-Celeb_flac"
    for number in range(12):
        for name in ("speech-01-001", "singing-02-001"):
            touch(root / "data" / f"id{number:05}" / f"{name}.flac")
    (root / "dev").mkdir()
    (root / "dev/dev.lst").write_text("\n".join(f"id{number:05}" for number in range(10)))
    for name in ("enroll/id00800-enroll.flac", "test/id00800-singing-01-002.flac", "test/id00801-vlog-01-001.flac"):
        touch(root / "eval" / name)
    (root / "eval/lists").mkdir()
    (root / "eval/lists/enroll.lst").write_text("id00800-enroll enroll/id00800-enroll.wav\n")
    trials = ["id00800-enroll test/id00800-singing-01-002.wav 1", "id00800-enroll test/id00801-vlog-01-001.wav 0"]
    (root / "eval/lists/trials.lst").write_text("\n".join(trials))
    corpus = CNCeleb(dataset_root=str(root), valid_speakers=3, valid_trials=6)
    splits = corpus.load(tmp_path)
    assert len(splits.train) == 14 and splits.train[0]["genre"] in ("speech", "singing")
    assert {"id00010", "id00011"}.isdisjoint({row["spk"] for row in splits.train}), "only those of dev.lst"
    test = splits.test["cnceleb"]
    assert [row["label"] for row in test] == ["1", "0"] and test[0]["wav_path1"].endswith("id00800-enroll.flac")
    assert len(splits.valid) == 6
    (root / "eval/test/id00801-vlog-01-001.flac").unlink()
    with pytest.raises(CorpusError, match="trials.lst, line 2.*id00801-vlog"):
        corpus.load(tmp_path)
