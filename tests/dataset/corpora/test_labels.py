"""Corpora of labels in their own layouts: intents, moods, languages, folders; who is in which split."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.acted import CREMAD, RAVDESS
from dataset.corpora.fluent import FluentSpeechCommands
from dataset.corpora.folders import Folders
from dataset.corpora.iemocap import IEMOCAP
from dataset.corpora.languages import CommonVoice, VoxLingua107


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def parts(splits):
    return {"train": splits.train, "valid": splits.valid, "test": splits.test["test"]}


def values(rows, column):
    return {name: {row[column] for row in part} for name, part in rows.items()}


def disjoint(sets):
    return sum(map(len, sets.values())) == len(set.union(*sets.values()))


class TestFluentSpeechCommands:
    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "data").mkdir()
        header = ",path,speakerId,transcription,action,object,location\n"
        line = '0,wavs/speakers/2BqVo8kVB2Skwgyb/0a3129c0.wav,2BqVo8kVB2Skwgyb,"Lights, please",activate,lights,none\n'
        for split in ("train", "valid", "test"):
            (tmp_path / f"data/{split}_data.csv").write_text(header + line.replace("0a3", f"{split}0a3"))
        return tmp_path

    def test_a_row_has_its_three_slots(self, root):
        rows = parts(FluentSpeechCommands(dataset_root=str(root)).load(root))
        (row,) = rows["valid"]
        assert row["labels"] == "activate ; lights ; none" and row["transcription"] == "Lights, please"
        assert row["speaker"] == "2BqVo8kVB2Skwgyb" and row["id"] == "valid0a3129c0"
        assert row["wav_path"] == str(root / "wavs/speakers/2BqVo8kVB2Skwgyb/valid0a3129c0.wav")

    def test_a_table_without_a_slot_is_named(self, root):
        table = root / "data/test_data.csv"
        table.write_text(table.read_text().replace(",object,", ",thing,"))
        with pytest.raises(CorpusError, match="test_data.csv, line 2.*'object'"):
            FluentSpeechCommands(dataset_root=str(root)).load(root)
        table.unlink()
        with pytest.raises(CorpusError, match="no file .*test_data.csv"):
            FluentSpeechCommands(dataset_root=str(root)).load(root)


class TestIEMOCAP:
    LINE = "[{0:.4f} - {1:.4f}]\t{2}\t{3}\t[2.5000, 2.5000, 2.5000]\n"

    @pytest.fixture
    def root(self, tmp_path):
        labels = ["neu", "exc", "hap", "ang", "sad", "xxx", "fru"]
        for session in range(1, 6):
            for dialogue in ("impro01", "impro02", "impro03", "script01_1", "script02_2"):
                name = f"Ses0{session}F_{dialogue}"
                folder = tmp_path / f"Session{session}" / "dialog/EmoEvaluation"
                folder.mkdir(parents=True, exist_ok=True)
                text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
                for number, label in enumerate(labels):
                    turn = f"{name}_{'FM'[number % 2]}{number:03}"
                    text += self.LINE.format(number, number + 1, turn, label) + "C-E2:\tNeutral;\t()\n"
                    touch(tmp_path / f"Session{session}/sentences/wav/{name}/{turn}.wav")
                (folder / f"{name}.txt").write_text(text)
        return tmp_path

    def test_a_fold_is_a_session_and_excited_is_happy(self, root):
        rows = parts(IEMOCAP(dataset_root=str(root), test_fold=2).load(root))
        assert sum(map(len, rows.values())) == 5 * 5 * 5, "frustration and no agreement are left out"
        assert {row["label"] for row in rows["test"]} == {"neu", "hap", "ang", "sad"}
        assert sum(row["label"] == "hap" for row in rows["test"]) == 2 * 5
        assert {row["speaker"] for row in rows["test"]} == {"Ses03F", "Ses03M"}
        assert {row["gender"] for row in rows["test"]} == {"f", "m"}

    def test_validation_is_by_other_dialogues_of_training_speakers(self, root):
        rows = parts(IEMOCAP(dataset_root=str(root), test_fold=0).load(root))
        assert disjoint(values(rows, "dialogue"))
        assert values(rows, "speaker")["valid"] <= values(rows, "speaker")["train"]
        assert "Ses01F" not in values(rows, "speaker")["train"]
        assert len(rows["valid"]) == 20

    def test_a_label_without_audio_is_named(self, root):
        (root / "Session4/sentences/wav/Ses04F_impro02/Ses04F_impro02_M003.wav").unlink()
        with pytest.raises(CorpusError, match="Ses04F_impro02.txt.*Ses04F_impro02_M003"):
            IEMOCAP(dataset_root=str(root)).load(root)
        with pytest.raises(CorpusError, match="Session1"):
            IEMOCAP(dataset_root=str(root / "Session1")).load(root)


class TestActed:
    def test_crema_d_by_folds_of_actors(self, tmp_path):
        for actor in range(1001, 1011):
            for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
                touch(tmp_path / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav")
        seen = []
        for fold in range(5):
            rows = parts(CREMAD(dataset_root=str(tmp_path), test_fold=fold).load(tmp_path))
            speakers = values(rows, "speaker")
            assert disjoint(speakers) and [len(s) for s in speakers.values()] == [6, 2, 2]
            seen += sorted(speakers["test"])
        assert sorted(seen) == [str(actor) for actor in range(1001, 1011)], "each actor is tested once"
        labels = {"anger", "disgust", "fear", "happy", "neutral", "sad"}
        assert values(rows, "label")["test"] == labels
        with pytest.raises(CorpusError, match="test_fold below folds"):
            CREMAD(dataset_root=str(tmp_path), test_fold=5).load(tmp_path)
        touch(tmp_path / "AudioWAV/1001_DFA_JOY_XX.wav")
        with pytest.raises(CorpusError, match="1001_DFA_JOY_XX.wav is not called"):
            CREMAD(dataset_root=str(tmp_path)).load(tmp_path)

    def test_ravdess_without_the_songs(self, tmp_path):
        for actor in range(1, 25):
            for channel, emotion in (("01", "05"), ("01", "08"), ("02", "03")):
                touch(tmp_path / f"Actor_{actor:02}" / f"03-{channel}-{emotion}-01-02-01-{actor:02}.wav")
        rows = parts(RAVDESS(dataset_root=str(tmp_path), test_fold=1).load(tmp_path))
        assert sum(map(len, rows.values())) == 48 and disjoint(values(rows, "speaker"))
        assert values(rows, "label")["train"] == {"angry", "surprised"}
        assert {row["gender"] for row in rows["test"] if row["speaker"] == "02"} == {"f"}


class TestLanguages:
    def test_voxlingua_holds_whole_videos_out_and_tests_on_dev(self, tmp_path):
        for language in ("en", "de", "ab"):
            for video in ("-0xY_z__1A2", "bB3", "cC4", "dD5", "eE6"):
                for n in range(3):
                    touch(tmp_path / language / f"{video}__U__S{n}---0123.450-0130.000.wav")
            if language != "ab":
                touch(tmp_path / "dev" / language / "zZ9__U__S1---0001.000-0009.000.wav")
        rows = parts(VoxLingua107(dataset_root=str(tmp_path), valid_fraction=0.2).load(tmp_path))
        assert [len(part) for part in rows.values()] == [3 * 12, 3 * 3, 2]
        videos = {name: {(row["label"], row["video"]) for row in part} for name, part in rows.items()}
        assert disjoint(videos) and {row["label"] for row in rows["valid"]} == {"en", "de", "ab"}
        assert ("en", "-0xY_z__1A2") in videos["train"] | videos["valid"]
        chosen = VoxLingua107(dataset_root=str(tmp_path), languages=["de", "en"]).load(tmp_path)
        assert {row["label"] for row in chosen.train} == {"de", "en"}
        with pytest.raises(CorpusError, match="no folder for xx; it has ab, de, en"):
            VoxLingua107(dataset_root=str(tmp_path), languages=["de", "xx"]).load(tmp_path)

    def test_common_voice_has_its_own_split(self, tmp_path):
        for language in ("cy", "zh-CN"):
            for split in ("train", "dev", "test"):
                (tmp_path / language / "clips").mkdir(parents=True, exist_ok=True)
                lines = [f'{split}{n}\tcommon_voice_{language}_{split}{n}.mp3\t"你好 {n}\t2\n' for n in range(4)]
                table = "client_id\tpath\tsentence\tup_votes\n" + "".join(lines)
                (tmp_path / language / f"{split}.tsv").write_text(table, encoding="utf-8")
        rows = parts(CommonVoice(dataset_root=str(tmp_path), max_clips=3).load(tmp_path))
        assert [len(part) for part in rows.values()] == [6, 6, 6]
        row = rows["valid"][-1]
        assert row["label"] == "zh-CN" and row["transcription"] == '"你好 2' and row["speaker"] == "dev2"
        assert row["wav_path"] == str(tmp_path / "zh-CN/clips/common_voice_zh-CN_dev2.mp3")
        (tmp_path / "cy/dev.tsv").unlink()
        with pytest.raises(CorpusError, match="cy/dev.tsv"):
            CommonVoice(dataset_root=str(tmp_path)).load(tmp_path)


class TestFolders:
    def tree(self, root, *names):
        for name in names:
            touch(root / name)
        return Folders(dataset_root=str(root), valid_fraction=0.2, test_fraction=0.2)

    def test_every_label_is_held_out_in_the_same_part(self, tmp_path):
        names = [f"{label}/é {n}.{suffix}" for label, suffix in (("a b", "wav"), ("猫", "flac")) for n in range(10)]
        rows = parts(self.tree(tmp_path, *names, "猫/notes.txt", ".git/x/y.wav").load(tmp_path))
        assert {name: len(part) for name, part in rows.items()} == {"train": 12, "valid": 4, "test": 4}
        assert all({row["label"] for row in part} == {"a b", "猫"} for part in rows.values())
        assert {row["id"] for row in rows["train"]} <= {name.rpartition(".")[0] for name in names}

    def test_speakers_below_the_labels_are_never_divided(self, tmp_path):
        names = [f"{label}/spk{s}/deep/{n}.wav" for label in ("joy", "rage") for s in range(10) for n in range(3)]
        corpus = self.tree(tmp_path, *names)
        rows = parts(corpus.load(tmp_path))
        assert disjoint(values(rows, "group")) and [len(part) for part in rows.values()] == [36, 12, 12]
        corpus.split_by_group = False
        assert not disjoint(values(parts(corpus.load(tmp_path)), "group"))

    def test_folders_of_splits_are_taken_as_they_are(self, tmp_path):
        names = [
            f"{split}/{label}/{n}.wav" for split in ("train", "validation", "test") for label in "ab" for n in "12"
        ]
        rows = parts(self.tree(tmp_path, *names).load(tmp_path))
        assert {row["id"].partition("/")[0] for row in rows["valid"]} == {"validation"}
        assert [len(part) for part in rows.values()] == [4, 4, 4]
        (tmp_path / "train").rename(tmp_path / "training set")
        with pytest.raises(CorpusError, match="test.*but none called train"):
            Folders(dataset_root=str(tmp_path)).load(tmp_path)

    def test_what_cannot_be_used_is_named(self, tmp_path):
        corpus = self.tree(tmp_path, "a/1.wav")
        with pytest.raises(CorpusError, match="at least two labels; it holds \\['a'\\]"):
            corpus.load(tmp_path)
        (tmp_path / "_notes_").mkdir()
        with pytest.raises(CorpusError, match="_notes_ holds no wav"):
            corpus.load(tmp_path)
        touch(tmp_path / "b/1.wav")
        corpus.ignore = ["_notes_"]
        with pytest.raises(CorpusError, match="too few to hold out a test set"):
            corpus.load(tmp_path)
