"""``python -m problems``: list the problems."""

from __future__ import annotations

import problems


def main() -> None:
    """Print every problem with its command."""
    print("Problems, each with its command; add --help for its settings:\n")
    for name in problems.NAMES:
        print(f"  python -m problems.{name:5} {problems.get(name).summary}")


if __name__ == "__main__":
    main()
