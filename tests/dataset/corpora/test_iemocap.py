"""The sessions of IEMOCAP are folds, and validation uses other dialogues of the training speakers."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.iemocap import IEMOCAP
from tests.parts.corpora import are_disjoint, rows_by_split, touch, values

LINE = "[{0:.4f} - {1:.4f}]\t{2}\t{3}\t[2.5000, 2.5000, 2.5000]\n"


@pytest.fixture
def root(tmp_path):
    labels = ["neu", "exc", "hap", "ang", "sad", "xxx", "fru"]
    for session in range(1, 6):
        for dialogue in ("impro01", "impro02", "impro03", "script01_1", "script02_2"):
            name = f"Ses0{session}F_{dialogue}"
            folder = tmp_path / f"Session{session}" / "dialog/EmoEvaluation"
            folder.mkdir(parents=True, exist_ok=True)
            text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            for number, label in enumerate(labels):
                turn = f"{name}_{'FM'[number % 2]}{number:03}"
                text += LINE.format(number, number + 1, turn, label) + "C-E2:\tNeutral;\t()\n"
                touch(tmp_path / f"Session{session}/sentences/wav/{name}/{turn}.wav")
            (folder / f"{name}.txt").write_text(text)
    return tmp_path


def test_a_fold_is_a_session_and_excited_is_happy(root):
    rows = rows_by_split(IEMOCAP(dataset_root=str(root), test_fold=2).load(root))
    assert sum(map(len, rows.values())) == 5 * 5 * 5, "frustration and no agreement are left out"
    assert {row["label"] for row in rows["test"]} == {"neu", "hap", "ang", "sad"}
    assert sum(row["label"] == "hap" for row in rows["test"]) == 2 * 5
    assert {row["speaker"] for row in rows["test"]} == {"Ses03F", "Ses03M"}
    assert {row["gender"] for row in rows["test"]} == {"f", "m"}


def test_each_of_the_five_sessions_can_be_the_test_fold():
    field = IEMOCAP.__dataclass_fields__["test_fold"]
    assert (field.default, field.metadata["min"], field.metadata["max"]) == (0, 0, 4)


def test_validation_is_by_other_dialogues_of_training_speakers(root):
    rows = rows_by_split(IEMOCAP(dataset_root=str(root), test_fold=0).load(root))
    assert are_disjoint(values(rows, "dialogue"))
    assert values(rows, "speaker")["valid"] <= values(rows, "speaker")["train"]
    assert "Ses01F" not in values(rows, "speaker")["train"]
    assert len(rows["valid"]) == 20


def test_a_label_without_audio_is_named(root):
    (root / "Session4/sentences/wav/Ses04F_impro02/Ses04F_impro02_M003.wav").unlink()
    with pytest.raises(CorpusError, match="Ses04F_impro02.txt.*Ses04F_impro02_M003"):
        IEMOCAP(dataset_root=str(root)).load(root)
    with pytest.raises(CorpusError, match="Session1"):
        IEMOCAP(dataset_root=str(root / "Session1")).load(root)
