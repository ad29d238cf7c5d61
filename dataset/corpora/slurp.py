"""SLURP: commands to a home assistant in real rooms, with slots and intents."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, require_file, require_folder
from dataset.setting import REQUIRED, setting

_ENTITY = re.compile(r"\[\s*(\S+)\s*:\s*(.+?)\s*\]")


@dataclasses.dataclass
class Slurp(Corpus):
    """The lists of SLURP, ``{train,devel,test}.jsonl``, and its recordings, one row each.

    Columns: ``id, wav_path, transcription, slots`` (JSON: ``[[name, value], ...]``), ``intent``.
    """

    dataset_root: str = setting(REQUIRED, "folder of train.jsonl, devel.jsonl and test.jsonl")
    audio: str = setting(REQUIRED, "folder of the recordings, such as slurp_real")
    headset_only: bool = setting(False, "use the recordings by headset alone")

    def sources(self) -> list[Path]:
        """The lists and the folder of audio."""
        root = absolute(self.dataset_root)
        return [*(root / f"{name}.jsonl" for name in ("train", "devel", "test")), absolute(self.audio)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        root, audio = absolute(self.dataset_root), require_folder(absolute(self.audio), "audio")
        rows = {name: self._rows(require_file(root / f"{name}.jsonl", "dataset_root"), audio) for name in _SETS}
        return Splits(rows["train"], rows["devel"], {"test": rows["test"]})

    def _rows(self, path: Path, audio: Path) -> list[Row]:
        rows = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                entry = json.loads(line)
                slots = _ENTITY.findall(entry["sentence_annotation"])
                text = _ENTITY.sub(lambda match: match[2], entry["sentence_annotation"])
                files = [recording["file"] for recording in entry["recordings"]]
                intent = entry["intent"]
            except (KeyError, TypeError, ValueError) as error:
                raise CorpusError(f"{path}, line {number}: expected an entry of SLURP: {error}") from error
            for file in files:
                if self.headset_only and "headset" not in file:
                    continue
                columns = {"transcription": " ".join(text.split()), "slots": json.dumps(slots, ensure_ascii=False)}
                rows.append({"id": Path(file).stem, "wav_path": str(audio / file), **columns, "intent": intent})
        if not rows:
            raise CorpusError(f"{path} lists no recordings")
        return rows


_SETS = ("train", "devel", "test")
