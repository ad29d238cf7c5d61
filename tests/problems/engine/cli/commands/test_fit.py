"""``fit``: the largest batches whose steps stay within the memory, found by steps that may run out of it."""

from __future__ import annotations

import re

import pytest

from problems.asr import ASR
from problems.engine.cli.commands.fit import largest
from problems.engine.cli.main import execute

WIDE = ["--build_downstream.conf.hidden_size=[300]", "--build_downstream.conf.stack=1"]


@pytest.mark.parametrize("first", [1, 7, 64, 1000])
@pytest.mark.parametrize("limit", [1, 5, 100, 640])
def test_the_search_ends_close_below_the_limit(first, limit):
    tried = []
    found = largest(first, lambda value: tried.append(value) or value <= limit, lambda small, large: True)
    assert limit / 1.1 - 1 <= found <= limit
    assert len(tried) == len(set(tried)) < 20


def test_the_search_ends_where_batches_stop_growing():
    assert largest(4, lambda value: True, lambda small, large: small < 20) == 32
    assert largest(64, lambda value: False, lambda small, large: small > 20) is None
    assert largest(3, lambda value: False, lambda small, large: True) is None


def rows(out):
    return re.findall(r"^ +(\d+)  (\d+) x [\d.]+ s = \d+ s .*  (fits|too much|out of memory)$", out, re.MULTILINE)


def test_without_a_limit_that_matters_a_batch_has_all_utterances(tiny, capfd, tmp_path):
    assert execute(ASR(), ["fit", *tiny, "--device=cpu", "--margin=0"]) == 0
    out, err = capfd.readouterr()
    assert "stage 1" in err and not (tmp_path / "run" / "train").exists()
    assert [row[2] for row in rows(out)] == ["fits"] * 4 and rows(out)[-1][:2] == ("32", "22")
    assert out.endswith("  --build_batch_sampler.train.batch_size 32\n")
    assert execute(ASR(), ["run", *tiny, "--build_batch_sampler.train.batch_size", "32", "--stop=2"]) == 0


def test_padded_seconds_are_searched_if_they_limit_the_batches(tiny, capfd):
    options = ["--build_batch_sampler.train={name: duration, batch_size: null, max_seconds: 1}", "--device=cpu"]
    assert execute(ASR(), ["fit", *tiny, *options]) == 0
    assert re.search(r"\n  --build_batch_sampler.train.max_seconds \d+\n$", capfd.readouterr().out)


def test_running_out_of_memory_is_a_result_and_not_the_end(tiny, capfd):
    """The limit is far below what the model alone takes: every trial runs out of it, and the search says so."""
    options = [*WIDE, "--device=cpu", "--limit_gb=0.05", "--build_batch_sampler.train.batch_size=8"]
    assert execute(ASR(), ["fit", *tiny, *options]) == 1
    out, err = capfd.readouterr()
    assert {row[2] for row in rows(out)} <= {"too much", "out of memory"} and len(rows(out)) == 4
    assert "not even the smallest batches fit into 0.04 GB" in err and "Traceback" not in err


def test_a_training_that_fails_for_another_reason_is_named(tiny, capfd):
    assert execute(ASR(), ["fit", *tiny, "--device=cpu", "--build_downstream.conf.hidden_size=[-1]"]) == 1
    assert "error: the training cannot be tried: " in capfd.readouterr().err


@pytest.mark.parametrize(("option", "text"), [("limit_gb", "none"), ("margin", "0.95")])
def test_a_mistaken_option_is_named(tiny, capfd, option, text):
    assert execute(ASR(), ["fit", *tiny, f"--{option}={text}"]) == 2
    assert f"--{option} is '{text}': expected a number" in capfd.readouterr().err


def test_sub_batches_are_refused_as_one_size_does_not_make_them(tiny, capfd, tmp_path):
    assert execute(ASR(), ["fit", *tiny, "--build_batch_sampler.train.sets={a: {}, b: {}}"]) == 2
    assert "set build_batch_sampler.train.sets to null" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
