"""What is said of photos that have no place."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.photos.failures import Evidence, check_depth, check_enough, why_not_placed
from inr_plugins.photos.report import doubts
from inr_plugins.photos.upright import Up

NAMES = tuple(f"p{number}.jpg" for number in range(1, 9))
GOOD = Evidence(
    names=NAMES,
    features=dict.fromkeys(NAMES, 2000) | {"p8.jpg": 12},
    matches={
        ("p1.jpg", "p2.jpg"): 300,
        ("p2.jpg", "p3.jpg"): 250,
        ("p1.jpg", "p3.jpg"): 200,
        ("p3.jpg", "p4.jpg"): 40,
        ("p5.jpg", "p6.jpg"): 90,
    },
    groups=(frozenset({"p1.jpg", "p2.jpg", "p3.jpg"}), frozenset({"p5.jpg", "p6.jpg"})),
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p4.jpg", "has 40 features in common with p3.jpg, but no place fits them"),
        (
            "p5.jpg",
            r"matches only photos that have no place either \(p6.jpg\): leave them out if they show another thing, or "
            "photograph the way from there to p3.jpg",
        ),
        (
            "p7.jpg",
            "leave it out if it shows another thing, or take it again with half of the picture in common with p3.jpg",
        ),
        ("p8.jpg", "has 12 features only"),
    ],
)
def test_a_photo_without_a_place_says_why(name, words):
    assert re.search(words, why_not_placed(name, GOOD))


def test_too_few_with_a_place_say_what_to_photograph():
    check_enough(GOOD, 3 / 8)
    with pytest.raises(InputError) as error:
        check_enough(GOOD, 0.5)
    said = error.value.on_command_line
    assert said.startswith("Only 3 of 8 photos found their place; 2 others fit together among themselves, but not with")
    assert (
        "these (p5.jpg, p6.jpg). Leave them out if they show another thing, photograph the way from p3.jpg to" in said
    )
    assert "p4.jpg in small steps, or give --at-least 0.38" in said
    assert "p4.jpg, p5.jpg, p6.jpg and 2 more" in said


def test_several_lenses_that_are_taken_for_one_are_thought_of_where_photos_show_one_thing():
    chain = {pair: 100 for pair in pairwise(NAMES)}
    alike = replace(GOOD, matches=chain, groups=GOOD.groups[:1])
    with pytest.raises(InputError) as error:
        check_enough(alike, 0.5, one_lens=True)
    assert "in small steps, or give --cameras each if they are of several cameras or zoomed, or give --at-least" in (
        error.value.on_command_line
    )
    for evidence, one_lens in ((alike, False), (GOOD, True)):
        with pytest.raises(InputError) as error:
            check_enough(evidence, 0.5, one_lens=one_lens)
        assert "--cameras" not in error.value.on_command_line


def test_photos_of_different_things_are_told_apart():
    """p5 and p6 belong together, p4 and p7 alone; p8 has next to no features, and tells nothing."""
    only = replace(
        GOOD, matches={pair: n for pair, n in GOOD.matches.items() if "p4.jpg" not in pair}, groups=GOOD.groups[:1]
    )
    assert only.clusters() == [["p1.jpg", "p2.jpg", "p3.jpg"], ["p5.jpg", "p6.jpg"], ["p4.jpg"], ["p7.jpg"], ["p8.jpg"]]
    with pytest.raises(InputError) as error:
        check_enough(only, 0.5)
    assert error.value.on_command_line == (
        "Only 3 of 8 photos found their place; 4 others share nothing with these (p1.jpg, p2.jpg, p3.jpg): 2 belong "
        "together (p5.jpg, p6.jpg), 2 match no other (p4.jpg, p7.jpg). They seem to show different things: give photos "
        "of one, or give --at-least 0.38 to go on with the 3 (without a place are p4.jpg, p5.jpg, p6.jpg and 2 more)."
    )


def test_photos_that_are_in_two_models_are_not_taken_for_another_thing():
    shared = replace(GOOD, groups=(frozenset(NAMES[:3]), frozenset({"p2.jpg", "p3.jpg", "p4.jpg"})))
    assert shared.largest_other() == ["p4.jpg"]
    with pytest.raises(InputError, match=r"place; p4.jpg has 40 features.* no place .* Photograph the way from p3"):
        check_enough(shared, 0.5)


def test_places_that_hang_on_no_points_are_none():
    check_depth(GOOD, [400, 30, 0])
    with pytest.raises(InputError, match=r"The 8 photos seem to be taken from one spot, or to show one flat surface"):
        check_depth(GOOD, [400, 14, 0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matches": {}}, "No two of the 8 photos show the same thing"),
        ({"features": dict.fromkeys(NAMES, 20)}, r"8 of 8 photos have next to no features \(p1.jpg has 20\)"),
        ({"still": frozenset(list(GOOD.matches)[:4])}, "from one spot, or to show one flat surface: 4 of 5"),
        ({}, r"None of the 8 photos could be placed: 5 of 28 pairs match.*p7.jpg, p8.jpg match no other"),
        # Two that look alike by chance say nothing of the eight.
        (
            {"matches": {("p1.jpg", "p5.jpg"): 20}, "still": frozenset({("p1.jpg", "p5.jpg")})},
            r"6 of 8 photos share nothing with any other \(p2.jpg, p3.jpg, p4.jpg and 3 more\): give photos of one",
        ),
    ],
)
def test_no_place_at_all_says_what_to_photograph(change, words):
    with pytest.raises(InputError, match=words):
        check_enough(replace(GOOD, groups=(), **change), 0.0)


def test_what_stays_at_the_same_pixels_is_told_where_places_are_missing():
    pairs = list(GOOD.matches)
    fixed = replace(GOOD, fixed=frozenset(pairs[:3]))
    with pytest.raises(
        InputError, match=r"3 of 8 photos found their place: most of what 3 of 5 matching pairs have in"
    ):
        check_enough(fixed, 0.5)
    with pytest.raises(InputError, match=r"None of 8 photos found their place: most of what 3 of 5 matching pairs"):
        check_enough(replace(fixed, groups=()), 0.0)
    check_enough(fixed, 3 / 8)
    # Two photos of one spot are no sign of it.
    with pytest.raises(InputError, match="2 others fit together"):
        check_enough(replace(GOOD, fixed=frozenset(pairs[:1])), 0.5)


def test_what_is_known_goes_by_the_photos_names():
    found = replace(GOOD, fixed=frozenset({("p1.jpg", "p2.jpg")}), focal_ratios={"p1.jpg": 1.1})
    renamed = found.renamed({name: name.upper() for name in NAMES})
    assert renamed.fixed == {("P1.JPG", "P2.JPG")}
    assert renamed.focal_ratios == {"P1.JPG": 1.1}


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        # As those of a phone's photos are without EXIF; and where the middle is not 1, since points pull all.
        ([0.992, 0.998, 1.0, 1.002, 1.01], ""),
        ([1.1, 1.1, 1.1, 1.11, 1.09], ""),
        ([1.0, 1.0, 1.0, 1.0, 1.3], ""),
        (
            [0.85, 0.9, 1.0, 1.0, 1.05],
            r"3 of 5 photos .* \(from 0.85 times in p0 to 1.05 times in p4\).* --cameras each",
        ),
        ([], ""),
    ],
)
def test_photos_of_other_focal_lengths_are_told(ratios, words):
    evidence = replace(GOOD, groups=(), focal_ratios={f"p{number}": ratio for number, ratio in enumerate(ratios)})
    notes = doubts(evidence, Up(np.array([0.0, 0, 1]), "level", 0.0))
    assert bool(notes) == bool(words)
    assert re.search(words, " ".join(notes))


def test_photos_are_together_where_matches_lead_from_one_to_the_other():
    matches = {("b", "d"): 20, ("c", "d"): 20, ("e", "f"): 20}
    found = Evidence(tuple("abcdef"), {}, matches).clusters()
    assert found == [["b", "c", "d"], ["e", "f"], ["a"]]
