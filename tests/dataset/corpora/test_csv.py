"""A user's CSV files: columns are renamed, splits held out by a hash, and mistakes named with file and line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.csv import Csv
from tests.conftest import data_folder

DATA = data_folder()


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding)
    return str(path)


def numbered(path: Path, count: int, speakers: int = 10) -> str:
    """``count`` rows of ``speakers`` speakers, the paths naming both."""
    rows = "".join(f"a/{path.stem}{i}.wav,text {i},s{i % speakers}\n" for i in range(count))
    return write(path, "wav_path,transcription,speaker\n" + rows)


def ids(rows: list[dict[str, str]]) -> list[str]:
    return [row["id"] for row in rows]


def test_columns_are_renamed_and_others_kept(tmp_path):
    header = "path,Satz,start_sec,end_sec,seconds,accent\n"
    train = write(tmp_path / "mein Korpus/a.csv", header + 'x/ä b.wav,"null, ""so""",0.5,1.25,9.0,scots\n', "utf-8-sig")
    other = write(tmp_path / "b.csv", header + "/data/1.flac,NA,,,,\n")
    valid = write(tmp_path / "c.csv", header + "../up/2.flac,,,,,\n")
    splits = Csv(train, valid, other, columns={"wav_path": "path", "transcription": "Satz"}).load(tmp_path)
    assert splits.train == [
        {
            "start_sec": "0.5",
            "end_sec": "1.25",
            "accent": "scots",
            "wav_path": str(tmp_path / "mein Korpus/x/ä b.wav"),
            "transcription": 'null, "so"',
            "id": "x/ä b-0.5-1.25",
        }
    ]
    assert (
        splits.test["b"][0] | {"id": "data/1", "wav_path": "/data/1.flac", "transcription": "NA"} == splits.test["b"][0]
    )
    assert (splits.valid[0]["id"], splits.valid[0]["wav_path"]) == (
        "up/2",
        str(tmp_path.parent / "up/2.flac"),
    )


def test_one_column_can_serve_as_two(tmp_path):
    train = write(tmp_path / "a.csv", "wav_path,word\n1.wav,yes\n2.wav,no\n3.wav,no\n")
    corpus = Csv(train, columns={"label": "word", "transcription": "word"}, test_fraction=0.3)
    row = corpus.load(tmp_path).train[0]
    assert row["label"] == row["transcription"] and "word" not in row


def test_a_reversed_mapping_of_columns_is_named_with_its_reverse(tmp_path):
    train = write(tmp_path / "a.csv", "file,said\n1.wav,yes\n2.wav,no\n")
    for mapping in ({"file": "wav_path"}, {"file": "wav_path", "said": "transcription"}):
        with pytest.raises(CorpusError) as error:
            Csv(train, test_fraction=0.3, columns=mapping).load(tmp_path)
        assert "columns is the wrong way round" in str(error.value)
        reverse = ", ".join(f"{ours}: {theirs}" for theirs, ours in mapping.items())
        assert f"set columns to {{{reverse}}}" in str(error.value)


def test_own_ids_stay_strings(tmp_path):
    train = write(tmp_path / "a.csv", "id,wav_path\n0012,1.wav\n1e5,2.wav\n007,3.wav\n")
    splits = Csv(train, test_fraction=0.3).load(tmp_path)
    assert sorted(ids(splits.train + splits.valid + splits.test["test"])) == ["0012", "007", "1e5"]
    named = write(tmp_path / "b.csv", "utt,wav_path\n0012,1.wav\n1e5,2.wav\n007,3.wav\n")
    assert Csv(named, test_fraction=0.3, columns={"id": "utt"}).load(tmp_path).train[0]["id"] in ids(splits.train)


def test_a_tsv_has_tabs_and_no_quoting(tmp_path):
    train = write(tmp_path / "a.tsv", 'path\tsentence\n1.mp3\tSay "no\n2.mp3\tyes, sir\n3.mp3\tso\n')
    corpus = Csv(train, columns={"wav_path": "path", "transcription": "sentence"}, test_fraction=0.3)
    splits = corpus.load(tmp_path)
    texts = {row["transcription"] for row in splits.train + splits.valid + splits.test["test"]}
    assert texts == {'Say "no', "yes, sir", "so"}


class TestSplits:
    def test_one_csv_serves_all_through_where(self, tmp_path):
        rows = "".join(f"{i}.wav,{part},{i % 2}\n" for i, part in enumerate(["train", "dev", "clean", "other"] * 5))
        table = write(tmp_path / "all.csv", "wav_path,part,odd\n" + rows)
        where = {
            "train": {"part": "train"},
            "valid": {"part": ["dev"]},
            "test": {"part": ["clean", "other"], "odd": 1},
            "clean": {"part": "clean"},
        }
        corpus = Csv(table, table, {"clean": table, "rest": table}, where=where)
        splits = corpus.load(tmp_path)
        assert {row["part"] for row in splits.train} == {"train"} and len(splits.train) == 5
        assert {row["part"] for row in splits.valid} == {"dev"}
        assert {name: {row["part"] for row in rows} for name, rows in splits.test.items()} == {
            "clean": {"clean"},
            "rest": {"other"},
        }
        assert corpus.sources() == [Path(table)]

    def test_test_sets_are_named_by_their_files_or_by_the_user(self, tmp_path):
        train, a, b = (numbered(tmp_path / name, 20) for name in ("t.csv", "x/a.csv", "x/b.csv"))
        assert list(Csv(train, test=a).load(tmp_path).test) == ["a"]
        assert list(Csv(train, test=[b, a]).load(tmp_path).test) == ["b", "a"]
        assert list(Csv(train, test={"near": a, "far": b}).load(tmp_path).test) == ["near", "far"]
        assert Csv(train, test=[b, a]).sources() == [Path(train), Path(b), Path(a)]
        with pytest.raises(CorpusError, match="two test sets would have the same name"):
            Csv(train, test=[a, numbered(tmp_path / "y/a.csv", 3)]).load(tmp_path)
        for name in ("valid", "../a", "a/b", ""):
            with pytest.raises(CorpusError, match=f"a test set cannot be called '{name}'"):
                Csv(train, test={name: a}).load(tmp_path)
        with pytest.raises(CorpusError, match="there is no test set"):
            Csv(train).sources()

    def test_a_csv_that_does_not_exist_is_named_before_a_missing_test_set(self, tmp_path):
        absent = tmp_path / "absent.csv"
        for corpus in (Csv(str(absent)), Csv(numbered(tmp_path / "t.csv", 20), valid=str(absent))):
            for read in (corpus.sources, lambda corpus=corpus: corpus.load(tmp_path)):
                with pytest.raises(CorpusError, match=re.escape(f"there is no CSV file {absent}")):
                    read()

    @pytest.mark.parametrize("split_by, unit", [("", 1), ("speaker", 20)])
    def test_held_out_parts_have_the_fraction_asked_for(self, tmp_path, split_by, unit):
        train = numbered(tmp_path / "a.csv", 400, speakers=20)
        splits = Csv(train, test_fraction=0.2, valid_fraction=0.1, split_by=split_by).load(tmp_path)
        parts = [splits.train, splits.valid, splits.test["test"]]
        assert [len(part) for part in parts] == [280, 40, 80]
        assert len({name for part in parts for name in ids(part)}) == 400
        if split_by:
            speakers = [{row["speaker"] for row in part} for part in parts]
            assert [len(part) for part in speakers] == [14, 2, 4] and len(set.union(*speakers)) == 20

    def test_the_held_out_set_depends_only_on_rows_and_seed(self, tmp_path):
        table = numbered(tmp_path / "a.csv", 100)
        header, *rows = Path(table).read_text().splitlines()
        turned = write(tmp_path / "elsewhere/b.csv", "\n".join([header, *rows[::-1]]))
        grown = write(tmp_path / "c.csv", "\n".join([header, *rows, "a/a100.wav,text,s0"]))
        held = [
            set(ids(Csv(path, test=table_of_test(tmp_path)).load(tmp_path).valid)) for path in (table, turned, grown)
        ]
        assert len(held[0]) == 10 and held[0] == held[1] and len(held[0] & held[2]) >= 9
        assert held[0] != set(ids(Csv(table, test=table_of_test(tmp_path), seed=1).load(tmp_path).valid))

    def test_every_split_of_a_small_table_has_an_utterance(self, tmp_path):
        splits = Csv(numbered(tmp_path / "a.csv", 3), test_fraction=0.01, valid_fraction=0.9).load(tmp_path)
        assert [len(splits.train), len(splits.valid), len(splits.test["test"])] == [1, 1, 1]
        with pytest.raises(CorpusError, match="too few utterances to hold out a valid set: 1 remain"):
            Csv(numbered(tmp_path / "b.csv", 2), test_fraction=0.5).load(tmp_path)
        with pytest.raises(CorpusError, match="too few groups by 'speaker' to hold out a test set: 1 remain"):
            Csv(numbered(tmp_path / "c.csv", 9, 1), test_fraction=0.5, split_by="speaker").load(tmp_path)

    def test_with_a_test_set_of_its_own_validation_is_a_fraction_of_the_training_rows(self, tmp_path):
        train, test = numbered(tmp_path / "a.csv", 100), numbered(tmp_path / "b.csv", 400)
        splits = Csv(train, test=str(test), valid_fraction=0.1).load(tmp_path)
        assert [len(part) for part in (splits.train, splits.valid, splits.test["b"])] == [90, 10, 400]

    def test_a_valid_fraction_of_zero_holds_nothing_out(self, tmp_path):
        splits = Csv(numbered(tmp_path / "a.csv", 9), test_fraction=0.2, valid_fraction=0).load(tmp_path)
        assert [len(splits.train), len(splits.valid), len(splits.test["test"])] == [7, 0, 2]

    def test_an_utterance_in_two_splits_is_named(self, tmp_path):
        a = write(tmp_path / "a.csv", "id,wav_path\nu1,1.wav\nu2,2.wav\nu3,3.wav\n")
        b = write(tmp_path / "b.csv", "id,wav_path\nu8,8.wav\nu2,other.wav\n")
        c = write(tmp_path / "c.csv", "id,wav_path\nu9,9.wav\n")
        with pytest.raises(CorpusError, match="'u2' is in train and in valid.*where="):
            Csv(a, b, c).load(tmp_path)
        with pytest.raises(CorpusError, match="'u2' is in train and in b"):
            Csv(a, c, b).load(tmp_path)
        d = numbered(tmp_path / "d.csv", 2)
        assert list(Csv(a, c, {"one": d, "two": d}).load(tmp_path).test) == ["one", "two"]

    def test_without_ids_utterances_are_identified_by_their_audio(self, tmp_path):
        a = write(tmp_path / "a/t.csv", "wav_path\n1.wav\n2.wav\n")
        b = write(tmp_path / "b/t.csv", "wav_path\n1.wav\n2.wav\n")
        splits = Csv(a, b, numbered(tmp_path / "e.csv", 2)).load(tmp_path)
        assert ids(splits.train) == ids(splits.valid) == ["1", "2"]
        again = write(tmp_path / "t.csv", "wav_path\na/2.wav\n")
        with pytest.raises(CorpusError, match="the utterance 'a/2' is in train and in t"):
            Csv(a, b, again).load(tmp_path)

    def test_a_group_in_two_splits_is_named(self, tmp_path):
        a = write(tmp_path / "a.csv", "wav_path,speaker\n1.wav,ann\n2.wav,bob\n")
        b = write(tmp_path / "b.csv", "wav_path,speaker\n3.wav,bob\n")
        with pytest.raises(CorpusError, match="speaker 'bob' is in train and in b"):
            Csv(a, write(tmp_path / "c.csv", "wav_path,speaker\n4.wav,cy\n"), b, split_by="speaker").load(tmp_path)


def table_of_test(tmp_path: Path) -> str:
    return numbered(tmp_path / "test.csv", 3)


@pytest.mark.parametrize(
    "text, settings, words",
    [
        (
            "path,text\n1.wav,a\n",
            {},
            r"no column 'wav_path' \(did you mean 'path'\?\); it has path, text; set columns.wav_path",
        ),
        (
            "wav_path,text\n1.wav,a\n",
            {"columns": {"transcription": "txt"}},
            r"no column 'txt' \(did you mean 'text'\?\); it has wav_path, text; set columns.transcription",
        ),
        ("wav_path,spk\n1.wav,a\n", {"split_by": "speaker"}, "no column 'speaker'.*set split_by"),
        ("wav_path,spk\n1.wav,\n", {"split_by": "spk"}, "line 2: the column 'spk', which split_by names, is empty"),
        (
            "wav_path,part\n1.wav,a\n",
            {"where": {"train": {"prt": "a"}}},
            "no column 'prt'.*'part'.*where.train names",
        ),
        (
            "wav_path,part\n1.wav,a\n",
            {"where": {"train": {"part": "b"}}},
            "no row has where.train.part = 'b'.*'a'",
        ),
        (
            "wav_path,part\n1.wav,a\n",
            {"where": {"valid": {"part": "b"}}},
            "where.valid selects rows of a set that has no CSV",
        ),
        (
            "wav_path,part\n1.wav,a\n",
            {"where": {"tst": {"part": "b"}}},
            "where.tst.*where can have train, test, e",
        ),
        (
            "wav_path,part\n1.wav,a\n",
            {"where": {"train": "a"}},
            "where.train: expected {column: value}, got 'a'",
        ),
        ("wav_path,text\n1.wav,a\n2.wav,b,c\n", {}, "line 3: expected 2 cells, got 3"),
        ("wav_path,text\n1.wav\n", {}, "line 2: expected 2 cells, got 1"),
        ("wav_path,text\n,a\n", {}, "line 2: the path of the audio is empty"),
        ("id,wav_path\na,1.wav\n\n,2.wav\n", {}, "line 4: the id is empty"),
        ("id,wav_path\na,1.wav\nb,2.wav\na,3.wav\n", {}, "line 4: line 2 has the same id 'a'$"),
        (
            "wav_path\nx/1.wav\nx/1.flac\n",
            {},
            "line 3: line 2 has the same id 'x/1'; it was made from",
        ),
        ("wav_path,text,text\n1.wav,a,b\n", {}, "column names, all different"),
        ("", {}, "expected a first line of column names"),
        ("wav_path,text\n", {}, "no rows below its header"),
        ('wav_path,text\n1.wav,"a\n', {}, "is not a CSV in UTF-8, near line 1"),
    ],
)
def test_mistakes_are_named(tmp_path, text, settings, words):
    train = write(tmp_path / "mine.csv", text)
    with pytest.raises(CorpusError, match=words) as error:
        Csv(train, test=numbered(tmp_path / "e.csv", 3), **settings).load(tmp_path)
    assert "mine.csv" in str(error.value) or words.startswith(("where", "no row"))


def test_missing_files_and_other_encodings_are_named(tmp_path):
    with pytest.raises(CorpusError, match="there is no CSV file .*none.csv"):
        Csv(str(tmp_path / "none.csv"), test_fraction=0.1).load(tmp_path)
    (tmp_path / "latin.csv").write_bytes("wav_path\nä.wav\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="latin.csv is not a CSV in UTF-8"):
        Csv(str(tmp_path / "latin.csv"), test_fraction=0.1).load(tmp_path)


@pytest.mark.parametrize(
    "folder, settings, sizes",
    [
        (
            "librispeech_small",
            {
                "columns": {"wav_path": "path", "transcription": "text"},
                "where": {"train": {"split": "train-clean-100"}, "test": {"split": "test-other"}},
                "test": {"test-other": str(DATA / "librispeech_small/metadata.csv")},
                "split_by": "speaker",
            },
            (226, 25, 100),
        ),
        (
            "speech_commands_9",
            {"columns": {"wav_path": "path"}, "test_fraction": 0.1, "split_by": "speaker"},
            None,
        ),
        ("intent_barista", {"columns": {"wav_path": "path"}, "test_fraction": 0.1}, (248, 31, 31)),
    ],
)
def test_real_tables_are_read(tmp_path, folder, settings, sizes):
    table = DATA / folder / "metadata.csv"
    if not table.is_file():
        pytest.skip(f"real speech is not in {DATA} (set SOUNDSTAGE_DATA)")
    splits = Csv(str(table), **settings).load(tmp_path)
    parts = [splits.train, splits.valid, *splits.test.values()]
    if sizes:
        assert tuple(len(part) for part in parts) == sizes
    else:
        assert sum(map(len, parts)) == 2511 and all(230 < len(part) < 280 for part in parts[1:])
        speakers = [{row["speaker"] for row in part} for part in parts]
        assert sum(map(len, speakers)) == len(set.union(*speakers))
    assert all(Path(row["wav_path"]).is_file() and row["label"] is not None for part in parts for row in part)


def test_a_column_of_json_gives_its_keys(tmp_path):
    rows = ['1.wav,"{""drink"": ""iced  mocha"", ""shots"": 2}"', "2.wav,", '3.wav,"{""drink"": null}"']
    train = write(tmp_path / "a.csv", "path,extra\n" + "\n".join(rows) + "\n")
    columns = {"wav_path": "path", "labels": "extra.drink", "shots": "extra.shots"}
    corpus = Csv(train, columns=columns, test_fraction=0.3)
    splits = corpus.load(tmp_path)
    row_of = {row["id"]: row for rows in (splits.train, splits.valid, splits.test["test"]) for row in rows}
    assert row_of["1"]["labels"] == "iced mocha" and row_of["1"]["shots"] == "2"
    assert row_of["2"]["labels"] == row_of["3"]["labels"] == ""
    write(tmp_path / "a.csv", "path,extra\n1.wav,drink\n2.wav,\n")
    with pytest.raises(CorpusError, match="a.csv, line 2: 'extra' is not a JSON object"):
        corpus.load(tmp_path)
    with pytest.raises(CorpusError, match="no column 'exta.drink'"):
        Csv(train, columns=columns | {"labels": "exta.drink"}, test_fraction=0.3).load(tmp_path)


def test_the_same_part_of_every_value_is_held_out(tmp_path):
    train = numbered(tmp_path / "a.csv", 100)
    splits = Csv(train, stratify_by="speaker", valid_fraction=0.1, test_fraction=0.2).load(tmp_path)
    for rows, each in ((splits.train, 7), (splits.valid, 1), (splits.test["test"], 2)):
        assert Counter(row["speaker"] for row in rows) == {f"s{i}": each for i in range(10)}


def test_every_utterance_is_in_the_test_set_of_one_fold(tmp_path):
    train = numbered(tmp_path / "a.csv", 103)
    tested = []
    for fold in range(5):
        splits = Csv(train, folds=5, fold=fold, stratify_by="speaker").load(tmp_path)
        test, valid = splits.test["test"], splits.valid
        assert 20 <= len(test) <= 21 and len(splits.train) + len(valid) + len(test) == 103
        tested += ids(test)
    assert sorted(tested) == sorted(ids(splits.train + splits.valid + splits.test["test"]))
    speakers = [
        {r["speaker"] for r in Csv(train, folds=5, fold=f, split_by="speaker").load(tmp_path).test["test"]}
        for f in range(5)
    ]
    assert sum(map(len, speakers)) == 10 == len(set.union(*speakers))


def test_wrong_numbers_of_folds_are_refused(tmp_path):
    train = numbered(tmp_path / "a.csv", 20)
    for settings, message in (
        ({"folds": 5, "fold": 5}, "0 to 4"),
        ({"fold": 1, "test_fraction": 0.1}, "folds is null"),
        ({"folds": 5, "test_fraction": 0.1}, "set one of them"),
        ({"folds": 5, "test": train}, "set one of them"),
        ({"folds": 11, "split_by": "speaker"}, "10 groups, too few for 11 folds"),
        ({"folds": 5, "stratify_by": "speakr"}, "did you mean 'speaker'.*set stratify_by"),
    ):
        with pytest.raises(CorpusError, match=message):
            Csv(train, **settings).load(tmp_path)
    mixed = write(tmp_path / "b.csv", "wav_path,speaker,label\n1.wav,s,a\n2.wav,s,b\n3.wav,t,a\n")
    with pytest.raises(CorpusError, match="speaker 's' has several values of 'label'"):
        Csv(mixed, split_by="speaker", stratify_by="label", test_fraction=0.3).load(tmp_path)


def test_the_index_that_pandas_writes_is_no_column(tmp_path):
    train = write(tmp_path / "a.csv", ",wav_path\n0,1.wav\n1,2.wav\n2,3.wav\n")
    assert Csv(train, test_fraction=0.3).load(tmp_path).train[0].keys() == {"wav_path", "id"}
    with pytest.raises(CorpusError, match="all different"):
        Csv(write(tmp_path / "b.csv", "wav_path,\n1.wav,\n"), test_fraction=0.3).load(tmp_path)


def test_several_validation_sets_are_told_apart_by_the_column_corpus(tmp_path):
    train, clean, noisy = (numbered(tmp_path / f"{name}.csv", 3) for name in ("train", "clean", "noisy"))
    valid = {"clean": clean, "noisy": noisy}
    corpus = Csv(train, valid, test_fraction=0.4)
    assert [row["corpus"] for row in corpus.load(tmp_path).valid] == ["clean"] * 3 + ["noisy"] * 3
    assert {path.name for path in corpus.sources()} == {"train.csv", "clean.csv", "noisy.csv"}
    assert "corpus" not in Csv(train, clean, test_fraction=0.4).load(tmp_path).valid[0]
    with pytest.raises(CorpusError, match="valid is {}: expected {name: path}"):
        Csv(train, {}, test_fraction=0.4).load(tmp_path)
    named = write(tmp_path / "named.csv", "wav_path,corpus\na/x.wav,mine\n")
    with pytest.raises(CorpusError, match="named.csv has a column 'corpus'"):
        Csv(train, {"a": named}, test_fraction=0.4).load(tmp_path)
