"""Audio files for tests: good ones, and one of every kind of bad one."""

from __future__ import annotations

import struct

import numpy as np

NOISE = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)


def tone(seconds=0.5, rate=16000, hz=440.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def patched(path, riff=None, data=None, tail=b""):
    """The wav with other sizes in its header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    if riff is not None:
        content[4:8] = struct.pack("<I", riff)
    if data is not None:
        content[at : at + 4] = struct.pack("<I", data)
    path.write_bytes(bytes(content) + tail)
    return path


def bad_files(write, tmp_path):
    """Name -> (file, what the message must say)."""
    whole = write("whole.wav").read_bytes()
    contents = {
        "empty.wav": (b"", r"empty \(0 bytes\)"),
        "text.wav": (b"RIFF is only a word here", "not audio.*convert"),
        "garbage.flac": (b"\0" * 999, "not audio"),
        "half.wav": (whole[:8000], "truncated.*promises 16000 bytes of audio, it holds 7956"),
        "header.wav": (whole[:30], "truncated"),
        "samples.raw": (b"\0" * 100, "not audio"),
        "half.ogg": (write("a.ogg", NOISE[:16000]).read_bytes()[:5000], "no samples"),
    }
    bad = {}
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        bad[name] = (tmp_path / name, message)
    bad["nothing.wav"] = (write("nothing.wav", tone()[:0]), "no samples")
    bad["missing.wav"] = (tmp_path / "missing.wav", "no such file; check the path")
    bad["folder.wav"] = (tmp_path / "folder.wav", "cannot be opened")
    bad["folder.wav"][0].mkdir()
    # LIST after an empty data chunk: all sizes agree, so the text is not audio
    path = write("list.wav", tone()[:0])
    bad["list.wav"] = (patched(path, riff=36 + 12, tail=b"LIST\4\0\0\0INFO"), "no samples")
    flac = bytearray(write("pipe.flac").read_bytes())
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)  # total samples 0: "unknown"
    (tmp_path / "pipe.flac").write_bytes(flac)
    bad["pipe.flac"] = (tmp_path / "pipe.flac", "does not say how long.*ffmpeg")
    return bad
