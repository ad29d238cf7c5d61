"""``python -m problems``: list the problems, compare finished runs, or run many."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import problems
from problems.engine.runtime.errors import Interrupted

COMMANDS = {
    "compare": "problems.engine.cli.commands.compare",
    "results": "problems.benchmark.results.command",
    "run": "problems.benchmark.grids.grid",
    "superb": "problems.benchmark.superb",
    "sweep": "problems.benchmark.sweep",
    "upstream": "problems.benchmark.upstream",
}
"""Commands that belong to no problem: the module with a function of that name, and ``HELP``."""
HELP_WORDS = {"-h", "--help"}


def main(words: Sequence[str]) -> int:
    """Run a command that belongs to no problem; without one, print every problem with its command."""
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        from problems.engine.cli.console import reader_is_gone
        from problems.engine.cli.main import BROKEN_PIPE

        if not reader_is_gone():
            raise
        return BROKEN_PIPE


def _run(words: Sequence[str]) -> int:
    if words and words[0] in COMMANDS:
        return _command(*words)
    if words and words[0] not in HELP_WORDS:
        print(f"error: {_unknown(words[0])}", file=sys.stderr)
        return 2
    print("Problems, each with its command; add --help for its settings:\n")
    width = max(map(len, problems.NAMES))
    for name in problems.NAMES:
        print(f"  python -m problems.{name:{width}} {problems.get(name).summary}")
    print("\nGeneral commands, each with --help too:\n")
    print("  python -m problems compare RUN RUN...           finished runs side by side, with paired tests")
    print("  python -m problems results VERB                 export, check and import results, and make a leaderboard")
    print("  python -m problems run GRID.yaml                problems, settings, seeds and folds, and one table")
    print("  python -m problems superb --upstream NAME...    every problem for every encoder, and one table")
    print("  python -m problems sweep PROBLEM --over.KEY ... trainings that differ in settings, and a test of the best")
    print("  python -m problems upstream NAME                what an encoder is, checked, and its speed here")
    return 0


def _command(name: str, *words: str) -> int:
    from problems.engine.config.registry import load_class
    from problems.engine.runtime.errors import SoundstageError
    from problems.engine.runtime.stop_signals import raise_on_signals

    if HELP_WORDS & {*words}:
        print(load_class(f"{COMMANDS[name]}:HELP"))
        return 0
    try:
        with raise_on_signals():
            return load_class(f"{COMMANDS[name]}:{name}")(list(words))
    except SoundstageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, Interrupted) as stop:
        print("interrupted: finished work is kept; run the same command to continue", file=sys.stderr)
        return getattr(stop, "exit_code", 130)


def _unknown(command: str) -> str:
    """The message about a word that is no command here."""
    from problems.engine.cli.verbs import VERBS

    if command in VERBS:
        return f"{command} is a command of a problem: python -m problems.asr {command}, or soundstage asr {command}"
    return f"unknown command {command!r}; expected {', '.join(COMMANDS)}, or none to list the problems"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
