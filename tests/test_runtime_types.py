"""Shapes and types are checked wherever a function of the package is called."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
from jaxtyping import Float
from runtime_types import jaxtyped, typecheck
from torch import Tensor


@jaxtyped(typechecker=typecheck)
def repeated(x: Float[Tensor, "n c"], y: Float[Tensor, "n 1"], times: int = 1) -> Float[Tensor, "n c"]:
    return (x * y).repeat(times, 1)


@jaxtyped(typechecker=typecheck)
def halves(x: Float[Tensor, "n 1"]) -> Iterator[Tensor]:
    yield from x.chunk(2)


X, Y = torch.ones(4, 2), torch.ones(4, 1)


def test_what_fits_passes_and_letters_are_new_in_each_call():
    assert repeated(X, Y).shape == (4, 2)
    assert repeated(X[:3], y=Y[:3]).shape == (3, 2)
    assert len(list(halves(Y))) == 2


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((X, Y[:3]), {}), ((X[0], Y), {}), ((X.int(), Y), {}), ((X, Y, "1"), {}), ((X,), {"y": Y[:2]}), ((X, Y, 2), {})],
    ids=["rows", "dimensions", "numbers", "another type", "by name", "what is returned"],
)
def test_what_does_not_fit_is_refused(arguments, options):
    with pytest.raises(Exception, match=r"type|violates"):
        repeated(*arguments, **options)


def test_arguments_of_a_generator_are_checked_when_it_is_called():
    with pytest.raises(Exception, match=r"type|violates"):
        halves(X)


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert repeated(X, Y, 2).shape == (8, 2)


@pytest.mark.parametrize("name", ["geometry.cameras", "networks.encodings", "metrics.image"])
def test_functions_of_the_package_are_checked(name):
    module = importlib.import_module(f"inr_plugins.{name}")
    functions = [each for each in vars(module).values() if inspect.isfunction(each)]
    functions = [each for each in functions if each.__module__ == module.__name__]
    assert functions
    assert all(hasattr(each, "__wrapped__") for each in functions)
