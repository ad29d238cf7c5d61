"""The service: right answers, a reason for every refusal, and nothing of a request left behind."""

from __future__ import annotations

import io
import json
import threading
import time

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="pip install 'soundstage[serve]'")
pytest.importorskip("httpx", reason="needs httpx")
from starlette.testclient import TestClient

from problems.engine.serving.app import Limits, create_app
from problems.engine.serving.worker import Worker
from tasks.base import Task
from tests.parts.predictors import predictor

AUDIO = {"Content-Type": "audio/wav"}


def sound(seconds: float = 0.5, rate: int = 16000, channels: int = 1, seed: int = 0, format: str = "WAV") -> bytes:
    file, rng = io.BytesIO(), np.random.default_rng(seed)
    soundfile.write(file, rng.standard_normal((int(seconds * rate), channels)) * 0.1, rate, format=format)
    return file.getvalue()


def client(task=None, limits: Limits | None = None, token: str | None = None, **options) -> TestClient:
    own = predictor(**({"task": task} if task else {}), **options)
    return TestClient(create_app(own, limits, token), raise_server_exceptions=False)


@pytest.mark.parametrize("body", [sound(), sound(rate=8000), sound(rate=96000, channels=2), sound(format="FLAC")])
def test_an_answer_is_the_prediction(body):
    with client() as service:
        answer = service.post("/v1/predict", content=body, headers=AUDIO)
    assert answer.status_code == 200
    own = predictor().predict(io.BytesIO(body))
    assert answer.json()["probabilities"] == own.probabilities and answer.json()["label"] == own.label


@pytest.mark.parametrize(
    "body, kind, status, reason",
    [
        (b"", "audio/wav", 422, "empty"),
        (b"no audio", "audio/wav", 422, "not audio that soundfile can read"),
        (sound()[:2000], "audio/wav", 422, "truncated"),
        (sound(), "", 415, "content type is missing"),
        (sound(), "text/plain", 415, "text/plain"),
        (b"/etc/passwd", "audio/wav", 422, "not audio"),
        (b"http://localhost/a.wav", "audio/wav", 422, "not audio"),
        (sound(3.5), "audio/wav", 413, "is 3.5 s long, the limit is 3 s"),
        (b"\0" * 200_001, "audio/wav", 413, "larger than 200000 bytes"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(body, kind, status, reason):
    with client(limits=Limits(bytes=200_000, seconds=3)) as service:
        answer = service.post("/v1/predict", content=body, headers={"Content-Type": kind} if kind else {})
        assert (answer.status_code, reason in answer.json()["detail"]) == (status, True), answer.json()
        assert service.post("/v1/predict", content=sound(), headers=AUDIO).status_code == 200, "the next is answered"


def test_an_error_of_the_model_is_that_of_one_request():
    class Fails(Task):
        def infer(self, wav, wav_len):
            if (wav_len < 4000).any():
                raise ValueError("too short")
            return ["fine"] * len(wav)

    with client(Fails) as service:
        bodies = [sound(0.1), sound(0.5), sound(0.1), sound(0.6)]
        answers = [service.post("/v1/predict", content=own, headers=AUDIO) for own in bodies]
    assert [own.status_code for own in answers] == [422, 200, 422, 200] and "too short" in answers[0].text


def test_what_waits_together_is_computed_together_and_each_gets_its_own():
    model, begun, release = predictor(), threading.Event(), threading.Event()
    predict, sizes = model.predict, []

    def slow(recordings, **options):
        sizes.append(len(recordings))
        begun.set()
        release.wait(10)
        return predict(recordings, **options)

    model.predict = slow
    worker = Worker(model, capacity=64)
    from problems.engine.inference.recordings import Recording

    inputs = [Recording(str(n), io.BytesIO(sound(seed=n))).open() for n in range(9)]
    futures = [worker.submit(inputs[0])]
    begun.wait(10)
    futures += [worker.submit(own) for own in inputs[1:]]
    release.set()
    results = [own.result(10) for own in futures]
    assert sizes == [1, 8] and [own.source for own in results] == [str(n) for n in range(9)]
    assert [own.label for own in results] == [predict(own).label for own in inputs]
    worker.close()
    assert not worker.thread.is_alive()


def test_more_than_may_wait_are_refused_for_now():
    gate = threading.Event()

    class Waits(Task):
        def infer(self, wav, wav_len):
            gate.wait(20)
            return ["done"] * len(wav)

    with client(Waits, Limits(waiting=1)) as service:
        statuses: list[tuple[int, str | None]] = []

        def ask() -> None:
            answer = service.post("/v1/predict", content=sound(), headers=AUDIO)
            statuses.append((answer.status_code, answer.headers.get("retry-after")))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
            time.sleep(0.2)
        gate.set()
        for thread in threads:
            thread.join()
    assert statuses.count((200, None)) == 2 and statuses.count((503, "1")) == 4


def test_a_long_file_is_answered_piece_by_piece():
    with client(long_audio="pauses") as service:
        answer = service.post("/v1/stream", content=sound(70.0, 8000), headers=AUDIO)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) >= 3 and lines[0]["start"] == 0
    assert [own["start"] for own in lines] == sorted(own["start"] for own in lines)
    assert sum(own["seconds"] for own in lines) == pytest.approx(70, abs=0.1)


def test_a_file_that_breaks_off_ends_its_stream_with_the_reason():
    noise = sound(180.0, 8000, format="FLAC")
    with client(long_audio="pauses") as service:
        answer = service.post("/v1/stream", content=noise[: len(noise) * 2 // 3], headers=AUDIO)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) > 2 and "error" in lines[-1] and all("error" not in own for own in lines[:-1])


def test_a_small_file_of_many_samples_is_refused():
    file = io.BytesIO()
    soundfile.write(file, np.zeros((48000 * 5, 8)), 48000, format="FLAC")
    with client(limits=Limits(samples=1_000_000)) as service:
        answer = service.post("/v1/predict", content=file.getvalue(), headers=AUDIO)
    assert answer.status_code == 413 and "samples" in answer.json()["detail"]


def test_a_token_is_asked_for_and_other_hosts_are_refused_without_one():
    with client(token="secret") as service:
        assert service.post("/v1/predict", content=sound(), headers=AUDIO).status_code == 401
        wrong = service.get("/v1/card", headers={"Authorization": "Bearer secre"})
        assert wrong.status_code == 401 and service.get("/metrics").status_code == 401
        right = {"Authorization": "Bearer secret", **AUDIO}
        assert service.post("/v1/predict", content=sound(), headers=right).status_code == 200
        assert service.get("/").status_code == 200 and service.get("/health").status_code == 200
    with client() as service:
        assert service.get("/health", headers={"Host": "attacker.example"}).status_code == 400


def test_the_page_may_load_nothing_from_elsewhere_and_cannot_be_changed_by_a_query():
    with client() as service:
        page = service.get("/")
        assert "default-src 'none'" in page.headers["content-security-policy"] and "http" not in page.text
        script = service.get("/page.js?text=alert(1)&of=text/html")
        assert "alert(1)" not in script.text and script.headers["content-type"].startswith("text/javascript")
        assert "/v1/predict" in service.get("/docs").text and "/v1/predict" in service.get("/openapi.json").text
        assert "http" not in service.get("/docs").text


def test_requests_are_counted():
    with client() as service:
        service.post("/v1/predict", content=sound(0.5), headers=AUDIO)
        service.post("/v1/predict", content=b"x", headers=AUDIO)
        service.get("/no/such/path")
        text = service.get("/metrics").text
    assert 'soundstage_requests_total{path="/v1/predict",status="200"} 1.0' in text
    assert 'soundstage_requests_total{path="/v1/predict",status="422"} 1.0' in text
    assert 'path="other",status="404"' in text and "soundstage_audio_seconds_total 0.5" in text


def test_nothing_of_an_upload_is_written(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with client() as service:
        assert service.post("/v1/predict", content=sound(20.0, 44100), headers=AUDIO).status_code == 200
        assert not list(tmp_path.rglob("*"))
