"""Counts of a service for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Requests by status, their times, the audio that was computed, and the requests that are being served."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = {"registry": self.registry}
        self.requests = Counter("soundstage_requests_total", "Requests, by path and status", ["path", "status"], **own)
        self.seconds = Histogram("soundstage_request_seconds", "Time of a request", ["path"], buckets=BUCKETS, **own)
        self.audio = Counter("soundstage_audio_seconds_total", "Seconds of audio that were computed", **own)
        self.open = Gauge("soundstage_open_requests", "Requests that are being served", **own)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
