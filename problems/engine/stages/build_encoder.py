"""Stage 1: the label encoder."""

from __future__ import annotations

from pathlib import Path

from problems.engine.stages.freshness.fingerprint import Fingerprint
from problems.engine.stages.stage import Stage


class BuildEncoder(Stage):
    """Reads the CSVs and leaves ``encoder/``."""

    number, name, sections = 1, "build encoder", ("build_encoder",)
    on_every_machine = True
    of_own_training = True

    def inputs(self) -> list[Path]:
        """All CSVs."""
        train, valid, tests = self.folder.csvs()
        return [Path(csv) for csv in (train, valid, *tests)]

    def outputs(self) -> list[Path]:
        """The encoder's files."""
        return self.folder.encoder_files()

    @property
    def output_dir(self) -> Path:
        """``encoder/``, or the folder that the problem chose."""
        return Path(self.folder.encoder_path())

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Learn the encoder from the training set."""
        train, valid, tests = self.folder.csvs()
        csvs = {"train_csv": train, "valid_csv": valid, "test_csvs": tests}
        self.build("build_encoder", **self.builder_folders(), **csvs)
