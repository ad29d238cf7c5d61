"""Corpora by name. Each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits

CORPORA = {
    "toy": "dataset.corpora.toy:Toy",
    "toy_phones": "dataset.corpora.toy_phones:ToyPhones",
    "toy_speakers": "dataset.corpora.toy_speakers:ToySpeakers",
    "toy_keywords": "dataset.corpora.toy_keywords:ToyKeywords",
    "toy_commands": "dataset.corpora.toy_commands:ToyCommands",
    "toy_moods": "dataset.corpora.toy_moods:ToyMoods",
    "toy_languages": "dataset.corpora.toy_languages:ToyLanguages",
    "toy_slots": "dataset.corpora.toy_slots:ToySlots",
    "toy_conversations": "dataset.corpora.toy_conversations:ToyConversations",
    "toy_queries": "dataset.corpora.toy_queries:ToyQueries",
    "toy_quality": "dataset.corpora.toy_quality:ToyQuality",
    "toy_events": "dataset.corpora.toy_events:ToyEvents",
    "toy_trials": "dataset.corpora.toy_trials:ToyTrials",
    "librispeech": "dataset.corpora.librispeech:LibriSpeech",
    "timit": "dataset.corpora.timit:TIMIT",
    "fsdd": "dataset.corpora.fsdd:FSDD",
    "connected_digits": "dataset.corpora.connected_digits:ConnectedDigits",
    "speech_commands": "dataset.corpora.speech_commands:SpeechCommands",
    "fluent_speech_commands": "dataset.corpora.fluent_speech_commands:FluentSpeechCommands",
    "audio_snips": "dataset.corpora.audio_snips:AudioSnips",
    "slurp": "dataset.corpora.slurp:Slurp",
    "iemocap": "dataset.corpora.iemocap:IEMOCAP",
    "crema_d": "dataset.corpora.crema_d:CREMAD",
    "ravdess": "dataset.corpora.ravdess:RAVDESS",
    "voxlingua107": "dataset.corpora.voxlingua107:VoxLingua107",
    "common_voice": "dataset.corpora.common_voice:CommonVoice",
    "voxceleb1_identification": "dataset.corpora.voxceleb1_identification:VoxCeleb1Identification",
    "voxceleb1_verification": "dataset.corpora.voxceleb1_verification:VoxCeleb1Verification",
    "cn_celeb": "dataset.corpora.cn_celeb:CNCeleb",
    "hear": "dataset.corpora.hear:Hear",
    "ami": "dataset.corpora.ami:AMI",
    "libri2mix": "dataset.corpora.libri2mix:Libri2Mix",
    "quesst2014": "dataset.corpora.quesst2014:QUESST2014",
    "folders": "dataset.corpora.folders:Folders",
    "conversations": "dataset.corpora.conversations:Conversations",
    "rttm": "dataset.corpora.rttm:Rttm",
    "mixture": "dataset.corpora.mixture:Mixture",
    "packed": "dataset.corpora.packed:Packed",
    "csv": "dataset.corpora.csv:Csv",
    "csv_turns": "dataset.corpora.csv_turns:CsvTurns",
    "csv_events": "dataset.corpora.csv_events:CsvEvents",
    "csv_queries": "dataset.corpora.csv_queries:CsvQueries",
    "csv_trials": "dataset.corpora.csv_trials:CsvTrials",
    "kaldi": "dataset.corpora.manifests.kaldi:Kaldi",
    "kaldi_turns": "dataset.corpora.manifests.kaldi_turns:KaldiTurns",
    "lhotse": "dataset.corpora.manifests.lhotse:Lhotse",
    "nemo": "dataset.corpora.manifests.nemo:NeMo",
    "speechbrain": "dataset.corpora.manifests.speechbrain:SpeechBrain",
    "s3prl": "dataset.corpora.manifests.s3prl:S3prl",
    "huggingface": "dataset.corpora.manifests.huggingface:HuggingFace",
    "webdataset": "dataset.corpora.manifests.webdataset:WebDataset",
    "textgrid": "dataset.corpora.manifests.textgrid:TextGrid",
}


def get_corpus(name: str) -> type[Corpus]:
    """The class of the corpus called ``name``; a KeyError names the known ones."""
    if name not in CORPORA:
        raise KeyError(f"unknown corpus {name!r}; expected one of {', '.join(CORPORA)}")
    module, _, attribute = CORPORA[name].partition(":")
    return getattr(import_module(module), attribute)


__all__ = ["CORPORA", "Corpus", "CorpusError", "Row", "Splits", "get_corpus"]
