"""A hook of mkdocs: links out of the folder of pages lead to the repository's files as text."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """``[CONTRIBUTING.md](../CONTRIBUTING.md)`` is the name of the file alone, as the site does not hold it."""
    return re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"`\1`", markdown)
