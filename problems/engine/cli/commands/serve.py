"""``serve``: a trained checkpoint as a service over HTTP."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from problems.engine.cli.arguments import Arguments, number_of
from problems.engine.cli.commands.predict import task_of
from problems.engine.cli.console import spin_briefly
from problems.engine.cli.verbs import VERBS
from problems.engine.runtime.errors import ConfigError, Interrupted

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE = 30
"""Seconds that open requests have when the service ends."""


def serve(problem: Any, arguments: Arguments) -> int:
    """Answer requests until a signal ends the service; what was asked for before is answered first."""
    spin_briefly()
    options = dict(arguments.overrides)
    if "ckpt" not in options or arguments.files:
        raise ConfigError(f"serve needs --ckpt DIR, and no files: serve {VERBS['serve'].usage}")
    host, port = options.get("host", "127.0.0.1"), int(number_of("port", options.get("port", "8000"), 0, 65535))
    token = os.environ.get("SOUNDSTAGE_TOKEN")
    if token is None and host not in LOOPBACK:
        raise ConfigError(
            f"--host {host} can be reached from other machines: set a token in the environment, SOUNDSTAGE_TOKEN=...,"
            " which requests must send, or leave --host out"
        )
    try:
        import uvicorn

        from problems.engine.serving.app import Limits, create_app
    except ImportError as error:
        raise ConfigError(f"serve needs the extra of its name ({error}): pip install 'soundstage[serve]'") from error
    _require_free(host, port)
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places.fetch import fetch
    from problems.engine.inference.predictor import Predictor

    checkpoint = find(fetch(options["ckpt"]))
    predictor = Predictor(checkpoint, problem, options.get("device", "auto"), options.get("upstream"), task_of(options))
    names = {"max_bytes": "bytes", "max_seconds": "seconds", "max_waiting": "waiting"}
    limits = Limits(**{field: int(number_of(key, options[key], 1)) for key, field in names.items() if key in options})
    config = uvicorn.Config(
        create_app(predictor, limits, token),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=10,
    )
    print(f"{checkpoint} on http://{host}:{port}, with a page, /docs and /metrics; Ctrl-C ends it", file=sys.stderr)
    try:
        uvicorn.Server(config).run()
    except (Interrupted, KeyboardInterrupt):  # uvicorn raises the signal again, once it has answered what was open
        print("ended; every open request was answered", file=sys.stderr)
    return 0


def _require_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before the model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"--port {port} of {host} cannot be used: {error.strerror}; choose another") from error
