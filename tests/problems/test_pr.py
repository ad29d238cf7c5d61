"""Phoneme recognition: phones from words or as they are, PER with foldings, and the times of the phones."""

from __future__ import annotations

import csv
import json

import jiwer
import pytest
import soundfile

from problems.asr import ASR
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.main import execute
from problems.pr import PR
from tasks.phones import PhoneTask
from tests.parts.corpora import needs_espeak
from tests.parts.packages import needs_g2p
from tests.tasks.test_ctc import Frames, Letters


@pytest.fixture
def options(tiny):
    """A tiny run, on the tones of speech recognition, whose transcripts are words of a small language."""
    return [option for option in tiny if "specaug" not in option]


@pytest.fixture
def lexicon(tones, tmp_path):
    words = set()
    for name in ("train", "valid", "test"):
        with open(tones / f"{name}.csv", newline="", encoding="utf-8") as file:
            words |= {word for row in csv.DictReader(file) for word in row["transcription"].split()}
    path = tmp_path / "lexicon.txt"
    phones = {word: " ".join("AA1" if letter == "a" else letter.upper() for letter in word) for word in sorted(words)}
    path.write_text("".join(f"{word} {own}\n" for word, own in phones.items()))
    return path


def test_words_become_phones_with_times_and_a_rate(options, lexicon, tmp_path, capfd):
    assert execute(PR(), ["run", *options, f"--prepare_data.lexicon={lexicon}"]) == 0
    with open(tmp_path / "run" / "data" / "train.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(
        row["transcription"].replace(" ", "").replace("AA", "A") == row["text"].replace(" ", "").upper() for row in rows
    )
    (path,) = (tmp_path / "run" / "evaluate").glob("*/test/predictions.csv")
    with open(path, newline="", encoding="utf-8") as file:
        predictions = list(csv.DictReader(file))
    for row in predictions:
        times = json.loads(row["times"])
        assert [phone for _, _, phone in times] == row["hypothesis"].split()
        assert all(start < end for start, end, _ in times) and times == sorted(times)
        gaps = [later[0] - before[1] for before, later in zip(times, times[1:])]
        assert all(gap == pytest.approx(0) or gap > 0.2 for gap in gaps)  # up to the next phone, or a pause
    metrics = json.loads((path.parent / "result.json").read_text())["metrics"]
    expected = jiwer.process_words([r["reference"] for r in predictions], [r["hypothesis"] for r in predictions])
    assert metrics["per"] == pytest.approx(expected.wer) and "wer" not in metrics
    assert "per" in capfd.readouterr().out


def test_a_corrected_pronunciation_makes_the_phones_stale(options, lexicon, tmp_path, capfd):
    given = ["run", *options, f"--prepare_data.lexicon={lexicon}", "--stop=1"]
    assert execute(PR(), given) == 0
    lexicon.write_text(lexicon.read_text().replace("AA1", "EH1"))
    capfd.readouterr()
    assert execute(PR(), given) == 0
    assert "== stage 0" in capfd.readouterr().err
    with open(tmp_path / "run" / "data" / "train.csv", newline="", encoding="utf-8") as file:
        assert not any("AA" in row["transcription"].split() for row in csv.DictReader(file))


def test_words_that_the_lexicon_lacks_are_refused_with_a_list(options, tmp_path, capfd):
    (tmp_path / "short.txt").write_text("ba B A\n")
    assert execute(PR(), ["run", *options, f"--prepare_data.lexicon={tmp_path / 'short.txt'}"]) == 2
    message = capfd.readouterr().err
    assert "of the transcripts:" in message and not (tmp_path / "run" / "train").exists()
    path = tmp_path / "run" / "unknown_words.txt"
    words = path.read_text().splitlines()
    assert str(path) in message and f"lacks {len(words)} words" in message and "ba" not in words


def librispeech(tones, root):
    """The tones in the folders of LibriSpeech, in upper case, as its archives unpack."""
    for split, name, speaker in (("dev-clean", "train", "84"), ("test-clean", "valid", "1089")):
        with open(tones / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        folder, lines = root / split / speaker / "7", []
        folder.mkdir(parents=True)
        for number, row in enumerate(rows):
            audio, rate = soundfile.read(row["wav_path"])
            soundfile.write(folder / f"{speaker}-7-{number:04}.flac", audio, rate)
            lines.append(f"{speaker}-7-{number:04} {row['transcription'].upper()}\n")
        (folder / f"{speaker}-7.trans.txt").write_text("".join(lines))
    return root


def test_librispeech_s_folders_and_a_lexicon_make_phones(options, lexicon, tones, tmp_path, capfd):
    root = librispeech(tones, tmp_path / "Libri Speech é")
    sets = "train_sets=[dev-clean] valid_sets=[test-clean] test_sets=[test-clean]"
    own = [option for option in options if "prepare_data" not in option]
    own += [f"--prepare_data.{words}" for words in ("corpus=librispeech", f"dataset_root={root}", *sets.split())]
    entries = lexicon.read_text().splitlines()
    lexicon.write_text("\n".join(entries[1:]))
    assert execute(PR(), ["run", *own, f"--prepare_data.lexicon={lexicon}"]) == 2
    word = entries[0].split()[0]
    assert f"lacks 1 words of the transcripts: {word} (" in capfd.readouterr().err
    assert (tmp_path / "run" / "unknown_words.txt").read_text() == f"{word}\n"
    lexicon.write_text("\n".join(entries))
    assert execute(PR(), ["run", *own, f"--prepare_data.lexicon={lexicon}"]) == 0
    assert not (tmp_path / "run" / "unknown_words.txt").exists()
    tables = []
    for name in ("valid", "test-clean"):
        with open(tmp_path / "run" / "data" / f"{name}.csv", newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    assert tables[0] == tables[1]  # validated and tested on, and still phones of words
    letters = [row["transcription"].replace(" ", "").replace("AA", "A") for row in tables[0]]
    assert letters == [row["text"].replace(" ", "") for row in tables[0]]
    assert list((tmp_path / "run" / "evaluate").glob("*/test-clean/result.json"))


@needs_espeak
def test_espeak_gives_ipa_whose_features_are_compared(options, tmp_path):
    pytest.importorskip("panphon")
    ipa = ["--prepare_data.lexicon=espeak:en-gb-x-rp", "--build_task.pfer=true"]
    assert execute(PR(), ["run", *options, *ipa]) == 0
    (path,) = (tmp_path / "run" / "evaluate").glob("*/test/result.json")
    assert 0 < json.loads(path.read_text())["metrics"]["pfer"]


@needs_g2p
def test_words_that_the_lexicon_lacks_are_guessed_on_request(options, tmp_path, capfd):
    (tmp_path / "short.txt").write_text("ba B AA1\n")
    given = ["run", *options, f"--prepare_data.lexicon={tmp_path / 'short.txt'}", "--prepare_data.unknown_words=g2p"]
    assert execute(PR(), [*given, "--stop=1"]) == 0
    assert "guessed the phones of" in capfd.readouterr().err
    with open(tmp_path / "run" / "data" / "train.csv", newline="", encoding="utf-8") as file:
        assert all(row["transcription"].isupper() for row in csv.DictReader(file))
    assert execute(PR(), ["run", *options, "--prepare_data.unknown_words=g2p"]) == 2
    assert "there is none: set prepare_data.lexicon" in capfd.readouterr().err
    espeak = ["--prepare_data.unknown_words=g2p", "--prepare_data.lexicon=espeak:de"]
    assert execute(PR(), ["run", *options, *espeak]) == 2
    assert "espeak:de pronounces every word" in capfd.readouterr().err


def test_phones_are_folded_before_they_are_compared():
    task = PhoneTask(Frames(), Letters(), folding="timit39")
    records = {"id": ["a"], "loss": [0.0], "too_short": [False]}
    records |= {"reference": ["h# sh ix hv eh q d"], "hypothesis": ["pau sh ih hh eh d"]}
    assert task.reduction("test", records)["per"] == 0
    plain = PhoneTask(Frames(), Letters()).reduction("test", records)
    assert plain["per"] == pytest.approx(4 / 7) and plain["phones"] == 7
    with pytest.raises(ValueError, match="folding is 'timit'"):
        PhoneTask(Frames(), Letters(), folding="timit")


def test_its_presets_are_its_own_and_superb_s_has_the_numbers_of_s3prl():
    assert PR.families() == ["pr"] and ASR.families() == ["asr"]
    given = [("prepare_data.dataset_root", "/data"), ("prepare_data.lexicon", "/lexicon")]
    found = resolve_config(PR(), ["superb"], given)
    assert found["build_downstream"] == {"name": "frame_linear", "conf": {"hidden_size": 256}}
    assert found["build_optimizer"]["name"] == "Adam" and found["build_optimizer"]["conf"]["lr"] == 1e-2
    train = found["train"]
    assert [train[key] for key in ("total_steps", "log_step", "eval_step", "save_step")] == [100000, 100, 1000, 100]
    assert [train["gradient_clipping"], train["gradient_accumulate"], train["valid_metric"]] == [1.0, 2, "per"]
    assert [found["build_batch_sampler"][mode]["batch_size"] for mode in ("train", "valid", "test")] == [16, 1, 1]
    assert found["build_encoder"]["name"] == "phoneme" and found["build_upstream"]["name"] == "hubert_base"


def test_aligned_phones_are_written_with_the_errors_of_their_boundaries(options, tones, tmp_path, capfd):
    """The reference times are those of letters spread evenly, so that errors are finite and the files readable."""
    textgrid = pytest.importorskip("praatio.textgrid")
    test = timed(tones / "test.csv", tmp_path / "test.csv", tones)
    given = ["run", *options, "--build_task.align=true", f"--prepare_data.test={test}"]
    assert execute(PR(), given) == 0
    (folder,) = (tmp_path / "run" / "evaluate").glob("*/test")
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert metrics["within_10ms"] <= metrics["within_20ms"] <= metrics["within_50ms"] <= 1
    assert metrics["boundary_error"] > 0 and metrics["unaligned"] == 0
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert metrics["boundaries"] == sum(len(row["reference"].split()) - 1 for row in rows)
    for row in rows:
        (path,) = (folder / "alignments").glob(f"{row['id']}.TextGrid")
        tier = textgrid.openTextgrid(str(path), includeEmptyIntervals=False).getTier("phones")
        assert [label for *_, label in tier.entries] == row["reference"].split()
        assert [[start, end, label] for start, end, label in tier.entries] == json.loads(row["aligned"])
    assert "boundaries within 20 ms" in capfd.readouterr().err
    assert "boundaries within 20 ms" in (tmp_path / "run" / "report" / "report.html").read_text()


def test_phones_without_times_are_aligned_and_not_compared(options, tones, tmp_path):
    test = timed(tones / "test.csv", tmp_path / "test.csv", tones, cell="a b c")
    assert execute(PR(), ["run", *options, "--build_task.align=true", f"--prepare_data.test={test}"]) == 0
    (folder,) = (tmp_path / "run" / "evaluate").glob("*/test")
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert metrics["unaligned"] == 0 and not any(name.startswith("within") for name in metrics)
    assert len(list((folder / "alignments").iterdir())) == metrics["utterances"]


def test_times_of_other_phones_are_refused_with_the_row(options, tones, tmp_path, capfd):
    test = timed(tones / "test.csv", tmp_path / "test.csv", tones, label="x")
    given = ["run", *options, "--build_task.align=true", f"--prepare_data.test={test}"]
    assert execute(PR(), given) != 0
    assert "expected [start, end, phone] of each phone of the transcription" in capfd.readouterr().err


def timed(source, target, folder, label=None, cell=None):
    """A copy of a CSV with the column ``phones``: each word is one, evenly spread; or ``cell``."""
    with open(source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        phones = row["transcription"].split()
        times = [[0.1 * place, 0.1 * place + 0.1, label or phone] for place, phone in enumerate(phones)]
        row |= {"wav_path": str(folder / row["wav_path"]), "phones": cell or json.dumps(times)}
    with open(target, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_the_feature_error_rate_is_of_ipa_symbols():
    pytest.importorskip("panphon")
    with pytest.raises(ValueError, match="panphon does not know h#"):
        PhoneTask(Frames(), Symbols("h#"), pfer=True)
    task = PhoneTask(Frames(), Symbols("p", "b", "a"), pfer=True)
    records = {"id": ["1", "2"], "loss": [0.0, 0.0], "too_short": [False, False]}
    records |= {"reference": ["p a", "p"], "hypothesis": ["b a", "⁇"]}
    records |= task._errors(records)
    metrics = task.reduction("valid", records)
    assert metrics["pfer"] == pytest.approx((1 / 24 + 1) / 3) and metrics["per"] == pytest.approx(2 / 3)
    assert metrics["feature_errors"] == pytest.approx((1 / 24 + 1) / 2)


class Symbols:
    """An encoder of phones."""

    def __init__(self, *phones):
        self.symbols = ("<blank>", "⁇", *phones)

    def decode(self, ids):
        return " ".join(self.symbols[own] for own in ids)

    def __len__(self):
        return len(self.symbols)
