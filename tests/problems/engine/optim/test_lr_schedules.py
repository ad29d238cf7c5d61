"""Schedules: each on its formula, each back on its curve after a resume, whatever steps it."""

from __future__ import annotations

import math
import random

import pytest
import torch

from problems.engine.optim import lr_schedules
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime.errors import ConfigError

SECTION = {"conf": {}, "every": None}
T = 40
BY_TIME = {
    "warmup_linear": {"warmup": 7, "final": 0.1},
    "warmup_cosine": {"warmup": 7},
    "warmup_exponential": {"warmup": 7, "final": 0.05},
    "warmup_constant": {"warmup": 7},
    "noam": {"warmup": 7},
    "tri_stage": {},
    "cyclic": {"period": 10, "shrink": 0.5},
    "interval": {"at": [5, 20], "factors": [0.3, 0.1]},
    "StepLR": {"step_size": 6},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 40},
    "CosineAnnealingWarmRestarts": {"T_0": 9},
    "OneCycleLR": {"max_lr": 0.5},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6, "cycle_momentum": False},
    "PolynomialLR": {"total_iters": 30},
    "MultiStepLR": {"milestones": [4, 19]},
}
BY_METRIC = {"newbob": {"patience": 1}, "ReduceLROnPlateau": {"patience": 1}}
VALUES = [1.0, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.6]


def made(name, conf, total=T, lr=0.5, **more):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    section = lr_schedules.planned({**SECTION, "name": name, "conf": conf, **more}, total, 10)
    schedule = lr_schedules.build_scheduler(section, optimizer)
    return OptimScheduler(optimizer, scheduler=schedule, every=lr_schedules.every(section))


def rate(one):
    return one.optimizer.param_groups[0]["lr"]


def steps(one, values):
    """The rates after each step; ``values`` are metrics for a schedule that goes by one."""
    found = []
    for value in values:
        one.optimizer.step()
        one.advance(one.every, value)
        found.append(rate(one))
    return found


@pytest.mark.parametrize("name", [*BY_TIME, *BY_METRIC])
@pytest.mark.parametrize("cut", [0, 1, 6, 13])
def test_each_resumes_on_its_curve(name, cut):
    conf, values = {**BY_TIME, **BY_METRIC}[name], VALUES if name in BY_METRIC else range(30)
    whole = steps(made(name, conf), values)
    first = made(name, conf)
    begun = steps(first, values[:cut])
    second = made(name, conf)
    second.load_state_dict(first.state_dict())
    assert begun + steps(second, values[cut:]) == whole
    assert len(set(whole)) > 1


@pytest.mark.parametrize("name", ["warmup_linear", "warmup_cosine", "warmup_exponential", "tri_stage", "OneCycleLR"])
def test_what_depends_on_the_total_follows_one_that_is_extended(name):
    """Resumed with a longer total it has the rates that it would have had with that total from the start."""
    conf = BY_TIME[name]
    short, resumed, whole = made(name, conf, 10), made(name, conf, 20), made(name, conf, 20)
    steps(short, range(9)), steps(whole, range(9))
    resumed.load_state_dict(short.state_dict())
    assert rate(resumed) == pytest.approx(rate(whole)) != rate(short)  # the next step is taken at this rate
    assert steps(resumed, range(10)) == pytest.approx(steps(whole, range(10)))


def test_the_formulas():
    def at(formula, places, **settings):
        return [formula(s, **settings) for s in places]

    linear = at(lr_schedules.warmup_linear, (0, 3, 4, 9, 14, 99), warmup=4, total_steps=14, final=0.2)
    assert linear == pytest.approx([0.2, 0.8, 1.0, 0.6, 0.2, 0.2])
    assert at(lr_schedules.warmup_cosine, (0, 4, 9, 14), warmup=4, total_steps=14) == pytest.approx([0.2, 1, 0.5, 0])
    exponential = at(lr_schedules.warmup_exponential, (1, 4, 9, 14), warmup=4, total_steps=14, final=0.01)
    assert exponential == pytest.approx([0.4, 1, 0.1, 0.01])
    assert at(lr_schedules.warmup_constant, (0, 1, 3, 50), warmup=3) == [0.25, 0.5, 1, 1]
    assert at(lr_schedules.noam, (0, 99, 399), warmup=100) == pytest.approx([0.01, 1.0, 0.5])
    assert lr_schedules.noam(99, 100, model_size=256) == pytest.approx(256**-0.5 * 100**-0.5)  # Vaswani et al., eq. 3
    stages = at(lr_schedules.tri_stage, (0, 5, 10, 49, 75, 100, 200), total_steps=100)
    assert stages == pytest.approx([0.01, 0.505, 1, 1, math.sqrt(0.05), 0.05, 0.05])
    triangle = at(lr_schedules.cyclic, (0, 5, 10, 15, 25), period=10, low=0.2, shrink=0.5)
    assert triangle == pytest.approx([0.2, 1.0, 0.2, 0.6, 0.4])
    assert at(lr_schedules.interval, (0, 4, 5, 19, 20), at=[5, 20], factors=[0.3, 0.1]) == [1, 1, 0.3, 0.3, 0.1]


def speechbrains_rates(values, rate, factor, threshold, patience):
    """The rates of SpeechBrain's NewBobScheduler, written out: a gain does not give back what patience is used up."""
    rates, left = [], patience
    for number, value in enumerate(values):
        previous = values[number - 1] if number else None
        if previous is not None:
            gain = (previous - value) / previous if previous else 0.0
            if gain < threshold and left == 0:
                rate, left = rate * factor, patience
            elif gain < threshold:
                left -= 1
        rates.append(rate)
    return rates


def test_newbob_halves_when_speechbrains_does():
    """Over 200 random histories of a metric that falls slowly, with zeros among them."""
    draw = random.Random(0)
    for _ in range(200):
        factor, threshold, patience = draw.choice([0.5, 0.8]), draw.choice([0.0025, 0.1]), draw.randint(0, 4)
        values = [max(0.0, round(draw.gauss(1, 0.1) * 0.98**n, 2) - 0.3) for n in range(40)]
        conf = {"factor": factor, "threshold": threshold, "patience": patience}
        assert steps(made("newbob", conf), values) == speechbrains_rates(values, 0.5, factor, threshold, patience)


def test_newbob_halves_when_the_relative_gain_is_small_and_waits_its_patience():
    at_once = made("newbob", {"threshold": 0.1})
    assert steps(at_once, [1.0, 0.8, 0.75, 0.5, 0.49]) == [0.5, 0.5, 0.25, 0.25, 0.125]
    patient = made("newbob", {"threshold": 0.1, "patience": 1})
    assert steps(patient, [1.0, 0.95, 0.94, 0.5, 0.5, 0.5]) == [0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    upward = made("newbob", {"threshold": 0.1, "mode": "max"})
    assert steps(upward, [0.5, 0.6, 0.61]) == [0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("conf", "every", "warns"),
    [({"warmup": 41}, None, True), ({"warmup": 40}, None, False), ({"warmup": 11}, "epoch", True), ({}, None, True)],
)
def test_a_warmup_longer_than_the_training_is_warned_of(caplog, conf, every, warns):
    """Of 40 steps in 10 epochs; the default of 100 steps is longer too."""
    lr_schedules.planned({"name": "warmup_linear", "conf": conf, "every": every}, 40, 10)
    assert ("longer than the training" in caplog.text) == warns
    assert not warns or "build_scheduler.conf.warmup" in caplog.text


def test_a_schedule_by_epochs_is_planned_over_epochs():
    section = {**SECTION, "name": "warmup_linear", "conf": {"warmup": 0}, "every": "epoch"}
    assert lr_schedules.planned(section, 1000, 10)["conf"]["total_steps"] == 10


def test_the_mode_of_a_metric_is_that_of_training():
    for name in BY_METRIC:
        assert lr_schedules.planned({**SECTION, "name": name}, 9, 9, True)["conf"]["mode"] == "max"
        assert lr_schedules.planned({**SECTION, "name": name}, 9, 9, False)["conf"]["mode"] == "min"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "warmup_liner"}, "unknown name 'warmup_liner'.*warmup_linear"),
        ({"name": "noam", "conf": {"warmp": 1}}, r"conf.warmp: unknown argument of noam.*warmup"),
        ({"name": "StepLR"}, "conf.step_size: must be given: StepLR"),
        ({"name": "newbob", "every": "step"}, "newbob cannot be stepped by 'step': expected validation"),
        ({"name": "noam", "every": "validation"}, "noam cannot be stepped by 'validation': expected step or epoch"),
    ],
)
def test_what_cannot_be_is_said_before_training(section, message):
    with pytest.raises(ConfigError, match=message):
        lr_schedules.check_scheduler(SECTION | section)


def test_settings_that_a_formula_refuses_are_the_sections_fault():
    section = {**SECTION, "name": "interval", "conf": {"at": [9, 3], "factors": [1, 2]}}
    with pytest.raises(ConfigError, match="build_scheduler: invalid settings of interval: .*rising order"):
        lr_schedules.build_scheduler(section, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0))
