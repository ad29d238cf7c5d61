"""Overridden methods are called with the arguments that their signatures take, or refused by name."""

from __future__ import annotations

import pytest

from problems.asr import ASR
from problems.asv import ASV
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call, check_signatures, is_overridden

SIZES = {"downstream_input_size": 20, "downstream_output_size": 5, "downstream_input_stride": 160}


def downstream(problem: ASR, section: dict | None = None):
    return call(problem, "build_downstream", build_downstream=section or {"name": "linear"}, **SIZES)


def test_arguments_that_a_signature_leaves_out_are_dropped():
    class Short(ASR):
        def build_downstream(self, build_downstream, downstream_output_size):
            return downstream_output_size

    check_signatures(Short())
    assert downstream(Short()) == 5


@pytest.mark.parametrize("order", ["renamed", "starred", "keywords"])
def test_arguments_may_be_renamed_starred_or_collected(order):
    class Renamed(ASR):
        def build_downstream(self, section, size_in, size_out, stride):
            return size_in, size_out, stride

    class Starred(ASR):
        def build_downstream(self, build_downstream, *sizes):
            return sizes

    class Keywords(ASR):
        def build_downstream(self, build_downstream, **sizes):
            return tuple(sizes.values())

    problem = {"renamed": Renamed, "starred": Starred, "keywords": Keywords}[order]()
    check_signatures(problem)
    assert downstream(problem) == (20, 5, 160)


def test_optional_arguments_go_to_a_signature_that_takes_them():
    class One(ASV):
        def build_task(self, build_task, model, encoder, test_trials=None):
            return test_trials

    class Renamed(ASV):
        def build_task(self, section, network, labels):
            return section, network, labels

    arguments = {"encoder": "e", "cohort": 1, "test_trials": 2, "model": "m", "build_task": {}}
    assert call(One(), "build_task", **arguments) == 2
    assert call(Renamed(), "build_task", **arguments) == ({}, "m", "e")
    check_signatures(One()), check_signatures(Renamed())


def test_a_section_is_the_methods_own():
    class Popping(ASR):
        def build_downstream(self, build_downstream, *sizes):
            return build_downstream["conf"].pop("width"), build_downstream.pop("name")

    section = {"name": "mine", "conf": {"width": 3}}
    assert downstream(Popping(), section) == downstream(Popping(), section) == (3, "mine")


class Lacking(ASR):
    def build_dataset(self, build_dataset, csv):
        return None

    def prepare_data(self, prepare_data, target_dir, cache_dir):
        return None


class Swapped(ASR):
    def build_downstream(self, section, downstream_output_size, downstream_input_size, stride):
        return None


def test_signatures_that_cannot_work_are_refused_by_name():
    with pytest.raises(ConfigError) as raised:
        check_signatures(Lacking())
    assert "Lacking.build_dataset(build_dataset, csv) cannot be called" in str(raised.value)
    assert "Lacking.prepare_data" in str(raised.value) and "get_path_only=False" in str(raised.value)
    with pytest.raises(ConfigError, match="at another place"):
        check_signatures(Swapped())
    with pytest.raises(ConfigError, match="at another place"):
        downstream(Swapped())


def test_what_is_overridden():
    class Own(ASR):
        helper = 3

        def build_upstream(self, build_upstream):
            return None

    assert is_overridden(Own(), "build_upstream") and not is_overridden(Own(), "build_task")
    assert not is_overridden(ASR(), "build_upstream") and not is_overridden(Own(), "features")
