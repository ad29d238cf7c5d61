"""The page in a browser: it sorts, filters, plays and shows values, asks for nothing, and fits a telephone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from problems.engine.report.report import write_report
from tests.parts.browser import chromium, quiet_page
from tests.parts.target_folders import SCRIPT, write_result, write_training

LOSSES = [0.5, 12.0, 3.0, 0.25, 2.0, 1.0, 0.125, 4.0]
TURNS = '[[0.0, 0.4, "ann"], [0.3, 0.9, "bob"]]'


def write_audio(target: Path, test_set: str, ids: list[str]) -> None:
    """Metadata of utterances, and a tone of 0.9 s for each."""
    folder = target / "sound ü"
    folder.mkdir(parents=True, exist_ok=True)
    (target / "data").mkdir(exist_ok=True)
    with open(target / "data" / f"{test_set}.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "wav_path", "seconds"])
        for number, id in enumerate(ids):
            path = folder / f"{id[0]}{number}.wav"
            tone = 0.2 * np.sin(np.arange(7200) * 2 * np.pi * (300 + 20 * number) / 8000)
            soundfile.write(path, tone, 8000)
            rows.writerow([id, str(path), "0.9"])


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The page of a run with labels, texts and turns, hostile text among them."""
    target = tmp_path_factory.mktemp("run ü")
    write_training(target)
    ids = [f"u{number}" for number in range(len(LOSSES))]
    labels = ["yes", "no", SCRIPT]
    rows = [(id, labels[n % 3], labels[n % 2], 0.5 + n / 20, LOSSES[n]) for n, id in enumerate(ids)]
    write_result(target, "step_100", "labels", {"wer": 0.5}, rows, predicts="label", columns=("confidence", "loss"))
    texts = [(id, f"a b {SCRIPT}", "a c") for id in ids]
    write_result(target, "step_100", "texts", {"wer": 0.5}, texts)
    write_result(target, "step_100", "turns", {"wer": 0.5}, [("r1", TURNS, TURNS, 1.0)], "turns", ("loss",))
    for test_set, own in (("labels", ids), ("texts", ids), ("turns", ["r1"])):
        write_audio(target, test_set, own)
    write_report(target, target / "report")
    return target / "report" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as own:
        yield own


@pytest.fixture
def page(browser, report, request) -> Iterator[Any]:
    """The page, which must log nothing and ask for nothing; ``request.param``: the width and the colour scheme."""
    width, scheme = getattr(request, "param", (1280, "light"))
    with quiet_page(browser, width, scheme) as (page, requests):
        page.goto(report.as_uri())
        yield page
        assert [url for url in requests if not url.startswith("data:audio/")] == [report.as_uri()]


def column(page: Any, number: int) -> list[str]:
    """The visible cells of a column of the table of labels."""
    rows = page.locator("#utterances table[data-sortable] tbody tr:visible")
    return [row.locator("td").nth(number).inner_text() for row in rows.all()]


@pytest.mark.parametrize("page", [(w, s) for w in (1280, 390) for s in ("light", "dark")], indirect=True)
def test_the_page_fits_and_is_readable(page):
    page.locator("details:not([open]) > summary").evaluate_all("all => all.forEach((one) => one.click())")
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0
    assert page.evaluate(CONTRASTS) == []


CONTRASTS = """() => {
  const parse = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || !element.checkVisibility() || element.closest("script")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [parse(element.closest("svg") ? style.fill : style.color), behind(element)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) wrong.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return wrong;
}"""
"""Text whose contrast is below that of WCAG 2.2, level AA."""


def test_a_table_is_sorted_by_numbers_both_ways(page):
    heading = page.get_by_role("button", name="loss", exact=True)
    heading.click()
    assert [float(text) for text in column(page, 3)] == sorted(LOSSES)
    heading.press("Enter")
    assert [float(text) for text in column(page, 3)] == sorted(LOSSES, reverse=True)
    assert page.locator("#utterances th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_a_filter_keeps_the_rows_that_have_all_words(page):
    page.get_by_label("Filter the 8 with the highest loss of 8 utterances").fill("YES u0")
    assert column(page, 0) == ["u0"]
    assert page.locator("#utterances output").first.inner_text() == "1 of 8"


def test_the_audio_of_an_utterance_plays_and_one_player_at_a_time(page):
    players = page.locator("#utterances audio")
    for number in (0, 1):
        player = players.nth(number)
        player.evaluate("(audio) => { audio.muted = true; return audio.play(); }")
        page.wait_for_function("(audio) => audio.currentTime > 0.05", arg=player.element_handle())
        assert player.evaluate("(audio) => audio.duration") == pytest.approx(0.9, abs=0.1)
    assert players.nth(0).evaluate("(audio) => audio.paused")


def test_audio_that_is_shown_twice_is_embedded_once_and_played_from_both(page):
    page.locator("details:not([open]) > summary").evaluate_all("all => all.forEach((one) => one.click())")
    players, links = page.locator("audio"), page.locator("a.play")
    assert players.count() == len(LOSSES) + 1 and links.count() == len(LOSSES)
    links.last.click()
    first = page.locator(links.last.get_attribute("href"))
    page.wait_for_function("(audio) => audio.currentTime > 0", arg=first.element_handle())


def test_the_position_of_a_player_is_drawn_on_its_timeline(page):
    page.locator("#utterances summary").filter(has_text="turns").click()
    player, line = page.locator("li:has(.chart) audio"), page.locator(".position")
    player.evaluate("(audio) => { audio.currentTime = 0.45; }")
    page.wait_for_function("(line) => line.hasAttribute('d')", arg=line.element_handle())
    turn = page.locator("li:has(.chart) rect").first  # from 0 to 0.4 s
    end = turn.evaluate("(one) => one.x.baseVal.value + one.width.baseVal.value")
    start = turn.evaluate("(one) => one.x.baseVal.value")
    place = float(line.get_attribute("d")[1:].split(" ")[0])
    assert (place - start) / (end - start) == pytest.approx(0.45 / 0.4, abs=0.02)


def test_the_pointer_and_the_arrow_keys_read_the_numbers_of_a_curve(page):
    drawing, tip = page.locator("#curves .drawing").nth(1), page.locator(".tip")
    drawing.scroll_into_view_if_needed()
    box = drawing.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 0.97 * box["width"], box["y"] + 0.5 * box["height"])
    assert tip.inner_text().split("\n") == ["step: 100", "validation: 12.50%"]
    page.mouse.move(0, 0)
    assert not tip.is_visible()
    drawing.focus()
    page.keyboard.press("ArrowLeft")
    assert tip.inner_text().split("\n") == ["step: 50", "validation: 25.00%"]
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_the_pointer_reads_a_turn_and_a_cell_of_the_confusion_matrix(page):
    page.locator("#utterances summary").filter(has_text="turns").click()
    page.locator("rect[data-row]").nth(1).hover(position={"x": 3, "y": 3})  # nearer to the middle of another
    assert page.locator(".tip").inner_text().split("\n")[:2] == ["turns of: reference", "speaker or event: bob"]
    page.locator(".matrix .right[data-tip]").first.hover()
    assert page.locator(".tip").inner_text() == "no as no: 2 of 3 (66.7 %)"


def test_a_users_text_stays_text(page):
    assert page.evaluate("document.scripts.length") == 1
    assert SCRIPT in page.locator("body").inner_text()
