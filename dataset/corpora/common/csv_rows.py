"""Rows of a user's table, with what decides their split."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.wording import nearest


@dataclasses.dataclass
class CsvRow:
    """A row with what decides its split.

    Args:
        row: its columns.
        has_own_id: its id is from the CSV and not made from the path.
        group: is never divided between splits.
        identity: must be in one split only: the id, or (absolute path, start, end) if ids do not tell.
        stratum: its value of ``stratify_by``.
    """

    row: Row
    has_own_id: bool
    _: dataclasses.KW_ONLY
    group: str
    identity: str | tuple[str, str, str]
    stratum: str = ""


def parted(utterances: list[CsvRow], chosen: set[str]) -> tuple[list[CsvRow], list[CsvRow]]:
    """The utterances of the groups that are chosen, and the others."""
    held_out = [utterance for utterance in utterances if utterance.group in chosen]
    return held_out, [utterance for utterance in utterances if utterance.group not in chosen]


def groups_of(
    utterances: list[CsvRow], file: str, *, split_by: str, stratify_by: str
) -> tuple[dict[str, int], dict[str, str] | None]:
    """The size of each group and, with ``stratify_by``, its stratum.

    Args:
        file: named in errors.
        split_by: the column of groups; "" for single utterances.

    Raises:
        CorpusError: a group has several strata.
    """
    sizes: dict[str, int] = {}
    strata: dict[str, str] = {}
    for utterance in utterances:
        sizes[utterance.group] = sizes.get(utterance.group, 0) + 1
        if strata.setdefault(utterance.group, utterance.stratum) != utterance.stratum:
            raise CorpusError(
                f"{file}: {split_by} {utterance.group!r} has several values of {stratify_by!r} "
                f"({strata[utterance.group]!r}, {utterance.stratum!r}), so whole groups cannot be held out by it; "
                "remove stratify_by or split_by"
            )
    return sizes, strata if stratify_by else None


def check_disjoint(splits: dict[str, list[CsvRow]], claims: Callable[[CsvRow], list[tuple[str, str, Any]]]) -> None:
    """Check that nothing is in two of train, valid and test.

    Args:
        claims: kind, name and identity of everything in a row that may be in one of them only.

    Raises:
        CorpusError: something is.
    """
    owners: dict[Any, str] = {}
    for split, utterances in splits.items():
        role = split if split in ("train", "valid") else "test"
        for utterance in utterances:
            for kind, name, key in claims(utterance):
                if owners.setdefault((kind, key), role) != role:
                    raise CorpusError(
                        f"{kind} {name!r} is in {owners[kind, key]} and in {split}; use a CSV for each split, or "
                        "select rows of one CSV: where={train: {column: value}, ...}"
                    )


def named_cell(columns: Row, setting: str, name: str, place: str) -> str:
    """The cell of the column that ``setting`` names. It must not be empty."""
    if name not in columns:
        raise CorpusError(
            f"{place}: there is no column {name!r}{nearest(name, list(columns))}; "
            f"it has {', '.join(columns)}; set {setting} to one of them"
        )
    if not columns[name]:
        raise CorpusError(f"{place}: the column {name!r}, which {setting} names, is empty")
    return columns[name]


def cell_of(line: Row, name: str, place: str) -> str:
    """The cell of a column or, for ``column.key``, the value of that key in its JSON object; "" if there is none."""
    if name in line:
        return line[name]
    column, _, key = name.partition(".")
    try:
        value = json.loads(line[column] or "{}").get(key)
    except (ValueError, AttributeError) as error:
        raise CorpusError(f"{place}: {column!r} is not a JSON object, as {name!r} needs") from error
    return "" if value is None else " ".join(str(value).split())


def id_of(written: str, start: str, end: str) -> str:
    """The id of an utterance without one, from its path as written and its segment."""
    parts = [part for part in PurePosixPath(written).with_suffix("").parts if part not in ("/", ".", "..", "~")]
    return "-".join(["/".join(parts), *filter(None, (start, end))])
