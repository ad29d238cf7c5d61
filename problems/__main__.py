"""``python -m problems``: list the problems, or compare finished runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import problems


def main(words: Sequence[str]) -> int:
    """Run a command that belongs to no problem; without one, print every problem with its command."""
    if words and words[0] == "compare":
        from problems.engine.cli.compare import compare
        from problems.engine.runtime.errors import SoundstageError

        try:
            return compare(words[1:])
        except SoundstageError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
    if words and words[0] not in ("-h", "--help"):
        print(f"error: unknown command {words[0]!r}; expected compare, or none to list the problems", file=sys.stderr)
        return 2
    print("Problems, each with its command; add --help for its settings:\n")
    width = max(map(len, problems.NAMES))
    for name in problems.NAMES:
        print(f"  python -m problems.{name:{width}} {problems.get(name).summary}")
    print("\n  python -m problems compare RUN RUN...    finished runs side by side, with paired tests")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
