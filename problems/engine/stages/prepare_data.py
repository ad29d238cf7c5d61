"""Stage 0: the metadata CSVs of a corpus."""

from __future__ import annotations

import os
from pathlib import Path

from problems.engine.runtime.overrides import call
from problems.engine.stages.freshness.fingerprint import MISSING, Fingerprint, fingerprint, hash_files, name_of
from problems.engine.stages.stage import Stage


class PrepareData(Stage):
    """Reads a corpus and leaves ``data/*.csv``."""

    number, name, sections = 0, "prepare data", ("prepare_data",)
    on_every_machine = True

    def inputs(self) -> list[Path]:
        """The sources of the corpus; none if the problem prepares its data itself."""
        section = dict(self.config["prepare_data"])
        corpus = self.problem.corpus(section)
        more = call(self.problem, "data_sources", prepare_data=section)
        return [Path(path) for path in (*(corpus.sources() if corpus else ()), *map(os.path.abspath, more))]

    def outputs(self) -> list[Path]:
        """The CSVs."""
        train, valid, tests = self.folder.csvs()
        return [Path(csv) for csv in (train, valid, *tests)]

    @property
    def output_dir(self) -> Path:
        """``data/``."""
        return self.folder.root / "data"

    def final_fingerprint(self, before: Fingerprint) -> Fingerprint:
        """``before`` with the sources that the stage fetched itself."""
        digests = {name: digest for name, digest in before["inputs"].items() if digest != MISSING}
        root, paths = self.folder.root, self.inputs()
        inputs = digests | hash_files((path for path in paths if name_of(path, root) not in digests), root)
        names = [name_of(path, root) for path in paths]
        return fingerprint(self.problem, self.sections, self.settings(), {name: inputs[name] for name in names})

    def damage(self) -> list[str]:
        """Audio that the corpus made in the cache and that is gone."""
        for csv in self.outputs():
            paths = self._made_audio(csv)
            lost = sorted(path for path in paths if not os.path.exists(path))
            if lost:
                return [f"{len(lost)} files of {csv.name} are gone from the cache, such as {lost[0]}"]
        return []

    def _made_audio(self, csv: Path) -> set[str]:
        """The audio of one CSV that is in the cache."""
        from dataset.metadata import PATH_COLUMNS, read_csv
        from dataset.places.names import file_of
        from dataset.trial_tables import paths_in

        table, cache = read_csv(csv, (), may_be_empty=True), f"{self.folder.cache}{os.sep}"
        cells = {cell for column in PATH_COLUMNS if column in table for cell in table[column] if cache in cell}
        paths = {path for cell in cells for path in paths_in(cell)}
        return {file for file in map(file_of, paths) if file.startswith(cache)}

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Write the CSVs."""
        self.build("prepare_data", **self.builder_folders())
