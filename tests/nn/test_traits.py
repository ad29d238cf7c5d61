"""A trait holds for the method that it was declared beside."""

from __future__ import annotations

from nn.traits import trait


class Mean:
    commutes_with_mean = True

    def forward(self):
        return 1


class Child(Mean):
    pass


class Other(Mean):
    def forward(self):
        return 2


class Declared(Mean):
    commutes_with_mean = False

    def forward(self):
        return 2


def test_a_subclass_inherits_a_trait_with_the_method_and_loses_it_with_another_method():
    assert trait(Mean(), "commutes_with_mean") is True and trait(Child(), "commutes_with_mean") is True
    assert trait(Other(), "commutes_with_mean") is None
    assert trait(Declared(), "commutes_with_mean") is False
    assert trait(object(), "commutes_with_mean") is None


def test_a_trait_of_another_method_is_not_lost_with_forward():
    assert trait(Other(), "commutes_with_mean", method="predict") is True
