"""The command ``soundstage``: ``soundstage asr run`` is ``python -m problems.asr run``."""

from __future__ import annotations

import sys

import problems
from problems.__main__ import main as general


def main() -> None:
    """Run a problem's command line, or a command that belongs to none."""
    words = sys.argv[1:]
    if words and words[0] in problems.NAMES:
        problems.get(words[0])().main(words[1:])
    sys.exit(general(words))


if __name__ == "__main__":
    main()
