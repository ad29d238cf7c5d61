"""Subword encoder: pieces learnt by SentencePiece (Kudo and Richardson, EMNLP 2018 demonstrations, pages 66-71)."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dataset.encoders.base import EncoderError
from dataset.encoders.text import BLANK, SPECIAL, UNKNOWN, TextEncoder, training_texts
from dataset.storage.files import write_bytes

MODEL_FILE = "sentencepiece.model"
MODEL_TYPES = ("unigram", "bpe")
SPACE = "▁"  # SentencePiece's symbol for a space, at the start of a word's first piece


class SentencePieceEncoder(TextEncoder):
    """Pieces of words. Building and encoding need the extra ``[bpe]``; loading and decoding do not."""

    name = "sentencepiece"

    def __init__(self, symbols: Sequence[str], case: str, model: bytes) -> None:
        """
        Args:
            symbols: the model's pieces in order of id.
            case: ``keep``, ``lower`` or ``upper``.
            model: the content of a ``.model`` file.
        """
        super().__init__(symbols, case)
        self._model = model
        self._processor: Any = None  # loaded at first use, in each worker process

    @classmethod
    def build(
        cls, texts: Iterable[str], vocab_size: int = 1000, model_type: str = "unigram", case: str = "keep"
    ) -> SentencePieceEncoder:
        """Learn the pieces.

        Args:
            texts: training transcripts. All their characters become pieces.
            vocab_size: number of symbols, blank and unknown included.
            model_type: ``unigram`` or ``bpe``.
            case: ``keep``, or make every text ``lower`` or ``upper`` case.
        """
        if model_type not in MODEL_TYPES:
            raise EncoderError(f"model_type must be one of {', '.join(MODEL_TYPES)}; got {model_type!r}")
        if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < 1:
            raise EncoderError(f"vocab_size must be a whole number above 0; got {vocab_size!r}")
        texts = training_texts(texts, case)
        longest = max(len(text.encode()) for text in texts)  # in bytes; the library skips longer ones by default
        library = _sentencepiece()
        model = io.BytesIO()
        try:
            library.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                vocab_size=vocab_size,
                model_type=model_type,
                character_coverage=1.0,
                normalization_rule_name="identity",  # so that decoding gives the same text back
                max_sentence_length=longest,
                pad_id=BLANK,
                pad_piece=SPECIAL[BLANK],
                unk_id=UNKNOWN,
                unk_piece=SPECIAL[UNKNOWN],
                bos_id=-1,
                eos_id=-1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise EncoderError(_reason(str(error), vocab_size, len(texts))) from error
        processor = library.SentencePieceProcessor(model_proto=model.getvalue())
        symbols = [processor.id_to_piece(index) for index in range(processor.get_piece_size())]
        return cls(symbols, case, model.getvalue())

    def encode(self, text: str) -> list[int]:
        return self._loaded().encode(self._normalise(text))

    def decode(self, ids: Iterable[int]) -> str:
        pieces = [self._symbol(int(index)) for index in ids if int(index) != BLANK]
        return "".join(pieces).replace(SPACE, " ").strip()

    def unknown(self, text: str) -> set[str]:
        text = self._normalise(text)
        pieces = self._loaded().encode(text, out_type=str)  # an unknown piece is shown as the characters it covers
        unknown = (piece for piece, index in zip(pieces, self.encode(text)) if index == UNKNOWN)
        return {character for piece in unknown for character in piece}

    def save(self, folder: str | Path) -> None:
        """Write ``sentencepiece.model``, then ``encoder.json``, into ``folder``, which is created if needed."""
        write_bytes(Path(folder) / MODEL_FILE, self._model)
        super().save(folder)

    def _record(self) -> dict[str, Any]:
        return {**super()._record(), "model_sha256": hashlib.sha256(self._model).hexdigest()}

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> SentencePieceEncoder:
        path = folder / MODEL_FILE
        try:
            model = path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is missing; build the encoder again (stage 1)") from None
        if hashlib.sha256(model).hexdigest() != record.get("model_sha256"):
            raise EncoderError(
                f"{path} is not the model that encoder.json was saved with; build the encoder again (stage 1)"
            )
        return cls(record["symbols"], record["case"], model)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_processor": None}

    def _loaded(self) -> Any:
        if self._processor is None:
            self._processor = _sentencepiece().SentencePieceProcessor(model_proto=self._model)
        return self._processor


def _sentencepiece() -> ModuleType:
    try:
        import sentencepiece
    except ImportError as error:
        raise EncoderError(
            'the sentencepiece encoder needs the package sentencepiece: pip install "soundstage[bpe]"'
        ) from error
    return sentencepiece


def _reason(message: str, vocab_size: int, number: int) -> str:
    """Rewrite SentencePiece's internal error as one that names the setting to change."""
    most = re.search(r"Vocabulary size too high .* <= (\d+)", message)
    if most:
        return f"vocab_size is {vocab_size}, but {number} texts give at most {most[1]} pieces; set at most that"
    least = re.search(r"smaller than required_chars\. \d+ vs (\d+)", message)
    if least:
        return f"vocab_size is {vocab_size}, but the characters alone need {least[1]}; set a larger one"
    return f"sentencepiece could not learn {vocab_size} pieces from {number} texts: {message}"
