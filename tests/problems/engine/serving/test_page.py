"""The served page in a browser: a dropped file's words and turns appear, light up while they are heard, and seek."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.parts.browser import chromium, playwright, quiet_page

pytest.importorskip("uvicorn", reason="pip install 'soundstage[serve]'")
pytest.importorskip("fastapi", reason="pip install 'soundstage[serve]'")
import uvicorn

from problems.engine.serving.app import create_app
from tasks.base import Task
from tasks.results import Segment, Transcript, Turns
from tests.parts.predictors import Labels, predictor

WORDS = [Segment(0.2, 0.9, "<b>one</b>", 0.9), Segment(1.0, 1.9, "two", 0.3), Segment(2.0, 2.9, "three", 0.8)]
TURNS = [Segment(0.0, 1.5, "speaker1"), Segment(1.0, 3.0, "speaker2")]


class Words(Task):
    def infer(self, wav, wav_len):
        return [Transcript(" ".join(own.text for own in WORDS), WORDS) for _ in wav]


class Speakers(Task):
    def infer(self, wav, wav_len):
        return [Turns(TURNS) for _ in wav]


@contextlib.contextmanager
def served(task: type[Task], folder: Path, token: str | None = None) -> Iterator[str]:
    """The URL of a service in a thread of its own; its card is in ``folder``."""
    card = {"summary": "finds out <i>", "problem": "Own", "checkpoint": "step_1", "parameters": {"all": 1234567}}
    (folder / "card.json").write_text(json.dumps(card))
    app = create_app(predictor(task, folder=str(folder)), token=token)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


expect = playwright.expect


@pytest.fixture(scope="module")
def browser():
    with chromium() as own:
        yield own


def sound() -> bytes:
    """Three seconds of a tone, as a wav."""
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(48000) / 5), 16000, format="WAV")
    return file.getvalue()


DROP = """([node, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "some ü.wav", { type: "audio/wav" }));
  node.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def drop(page, content: bytes) -> None:
    """Drop a file on the page, as from a folder."""
    page.evaluate(DROP, [page.locator("#drop").element_handle(), base64.b64encode(content).decode()])


@pytest.mark.parametrize("width", [1280, 390])
def test_the_words_of_a_dropped_file_appear_and_light_up_while_they_are_heard(browser, tmp_path, width):
    with served(Words, tmp_path) as url, quiet_page(browser, width) as (page, requests):
        page.goto(url)
        page.get_by_text("finds out <i>").wait_for()
        drop(page, sound())
        page.locator(".word").nth(2).wait_for()
        assert page.locator(".word").all_inner_texts() == ["<b>one</b>", "two", "three"], "text is no markup"
        assert page.locator(".unsure").all_inner_texts() == ["two"]
        assert "2.00 to 2.90 s, confidence 0.80" in page.locator(".word").nth(2).get_attribute("title")
        page.locator(".word").nth(1).click()
        expect(page.locator(".now")).to_have_text(["two"])
        assert page.evaluate("document.getElementById('player').currentTime") >= 1.0
        expect(page.locator(".now")).to_have_text(["three"])  # it plays on
        page.evaluate("document.getElementById('player').pause(); document.getElementById('player').currentTime = 0.5")
        expect(page.locator(".now")).to_have_text(["<b>one</b>"])
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0
        assert all(own.startswith((url, "blob:", "data:")) for own in requests)


def test_turns_are_on_a_timeline_and_lead_to_their_place(browser, tmp_path):
    with served(Speakers, tmp_path) as url, quiet_page(browser) as (page, _):
        page.goto(url)
        page.locator("#file").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": sound()})
        page.locator(".turn").nth(1).wait_for()
        assert page.locator(".lane span").all_inner_texts() == ["speaker1", "speaker2"]
        style = "(all) => all.map((own) => own.style.left + ' ' + own.style.width)"
        assert page.locator(".turn").evaluate_all(style) == ["0% 50%", "33.3333% 66.6667%"]
        page.locator(".turn").nth(1).click()
        expect(page.locator(".now")).to_have_count(2)  # both speak
        expect(page.locator(".now")).to_have_count(1)


def test_what_is_refused_is_said_and_the_page_goes_on(browser, tmp_path):
    with served(Labels, tmp_path, token="secret") as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.locator("#token").fill("secret")
        page.locator("#token-form button").click()
        page.locator("#token-form").wait_for(state="hidden")
        drop(page, b"no audio")
        page.locator("#status.error").wait_for()
        assert "not audio" in page.locator("#status").inner_text()
        drop(page, sound())
        page.locator("#labels tr").nth(2).wait_for()
        assert page.locator("#status").inner_text() == "" and "deviation" in page.locator("#labels").inner_text()
        context.close()
