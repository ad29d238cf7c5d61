"""``python -m problems``: the problems, one line each."""

from __future__ import annotations

import problems


def main() -> None:
    """Print every problem with its command."""
    print("Problems; each is run by its own command, and explains itself with --help:\n")
    for name in problems.NAMES:
        print(f"  python -m problems.{name:5} {problems.get(name).summary}")


if __name__ == "__main__":
    main()
