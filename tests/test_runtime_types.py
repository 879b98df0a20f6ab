"""Shapes in signatures are checked in every test, however often a function has been called before it."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest
from runtime_types import EVERY, FIRST, jaxtyped, sampling, typecheck


def doubled(x: jaxtyping.Float[np.ndarray, " n"]) -> jaxtyping.Float[np.ndarray, " n"]:
    return x * 2


def fails(function, *args) -> bool:
    try:
        function(*args)
    except jaxtyping.TypeCheckError:
        return True
    return False


def test_first_calls_and_every_tenth_after_them_are_checked_in_each_test():
    checked = jaxtyped(typechecker=typecheck)(doubled)
    for _ in range(2):
        sampling.new_test()
        found = [fails(checked, np.ones((2, 3))) for _ in range(FIRST + 2 * EVERY)]
        assert found[:FIRST] == [True] * FIRST
        assert found[FIRST:] == ([False] * (EVERY - 1) + [True]) * 2
    assert np.array_equal(checked(np.ones(3)), [2, 2, 2])
    assert checked.__wrapped__ is doubled


SEEN = []


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_is_a_new_one(number):
    SEEN.append(sampling.test)
    assert len(set(SEEN)) == number


def test_what_a_function_makes_anew_is_checked_at_first():
    def make():
        def inner(x: jaxtyping.Float[np.ndarray, " n"]) -> None:
            del x

        return jaxtyped(typechecker=typecheck)(inner)

    found = [fails(make(), np.ones((2, 3))) for _ in range(FIRST + EVERY)]
    assert found == [True] * FIRST + [False] * (EVERY - 1) + [True]


def test_classes_are_checked():
    @jaxtyped(typechecker=typecheck)
    class Fine:
        pass

    assert isinstance(Fine(), Fine)


def test_the_package_is_checked_so():
    from inr_plugins.geometry.frames import Similarity

    with pytest.raises(jaxtyping.TypeCheckError):
        Similarity.identity().points(np.ones((2, 3, 4, 5)))
