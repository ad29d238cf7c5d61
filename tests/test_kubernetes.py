"""The manifest for Kubernetes says what torchrun and Soundstage understand, and its numbers agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

import problems
from problems.engine.cli.main import execute

MANIFEST = Path(__file__).resolve().parents[1] / "docs" / "kubernetes.yaml"


@pytest.fixture
def manifest():
    service, job = yaml.safe_load_all(MANIFEST.read_text("utf-8"))
    return service, job, job["spec"]["template"]["spec"]["containers"][0]


def test_the_processes_are_those_of_the_pods(manifest):
    service, job, container = manifest
    assert container["command"] == ["python", "-m", "torch.distributed.run"]
    options = get_args_parser().parse_args(container["args"])
    assert int(options.nnodes) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert int(options.nproc_per_node) == container["resources"]["limits"]["nvidia.com/gpu"]
    # as Kubernetes names the first pod of an indexed job whose pods belong to a headless service
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert options.rdzv_endpoint.partition(":")[0] == first and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]


def test_the_settings_exist(manifest, capsys):
    options = get_args_parser().parse_args(manifest[2]["args"])
    assert options.module and options.training_script == "problems.asr"
    verb, *words = options.training_script_args
    assert verb == "run" and execute(problems.get("asr")(), ["config", *words]) == 0
    assert "dataset_root: /work/LibriSpeech" in capsys.readouterr().out
