"""docs/settings.md has every setting as the code has it."""

from __future__ import annotations

from tests.parts.settings_page import PAGE, page


def test_the_page_of_settings_is_that_of_the_code():
    assert PAGE.read_text("utf-8") == page(), "write it again: python -m tests.parts.settings_page"
