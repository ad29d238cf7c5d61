"""Chromium for the tests of pages; importing this skips the tests of a module without Playwright or Chromium."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium, such as Debian's package chromium", allow_module_level=True)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser that nobody sees; media play without a click."""
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@contextlib.contextmanager
def quiet_page(browser: Any, width: int = 1280, scheme: str = "light") -> Iterator[tuple[Any, list[str]]]:
    """A page which must log nothing, and the URLs that it asks for."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(10_000)
    page, messages, requests = context.new_page(), [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    yield page, requests
    assert messages == []
    context.close()
