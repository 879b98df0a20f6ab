"""Why photos could not be placed, and what to photograph instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from inr_plugins.errors import InputError, setting

_FEW_FEATURES = 100
_FEW_PHOTOS = 10
_FROM_ONE_PLACE = 0.6
_NAMED = 3
_DIFFERENT = 3
_FEWEST_POINTS = 15


@dataclass(frozen=True)
class Evidence:
    """What was found in photos and between them.

    Attributes:
        names: of all photos, in their order.
        features: in each photo.
        matches: features that two photos have in common by one motion of the camera, by their names in order.
        still: of these pairs, those that a turn of the camera on the spot, or a flat scene, explains too.
        groups: names of the photos of each model that came of it, the largest first.
        fixed: of these pairs, those that have most of what they have in common at the same pixels.
        focal_ratios: by the photos' names, the focal length that each has by itself, over that of the lens it shares.
    """

    names: tuple[str, ...]
    features: dict[str, int]
    matches: dict[tuple[str, str], int]
    still: frozenset[tuple[str, str]] = frozenset()
    groups: tuple[frozenset[str], ...] = field(default=())
    fixed: frozenset[tuple[str, str]] = frozenset()
    focal_ratios: Mapping[str, float] = field(default_factory=dict)

    @property
    def placed(self) -> frozenset[str]:
        """Photos of the largest model."""
        return self.groups[0] if self.groups else frozenset()

    def largest_other(self) -> list[str]:
        """Of photos without a place, the most that fit together among themselves, in their order."""
        others = [[name for name in self.names if name in group - self.placed] for group in self.groups[1:]]
        return max(others, key=len, default=[])

    def clusters(self) -> list[list[str]]:
        """Photos by what they share: two are together where matches lead from one to the other. The largest first."""
        root = {name: name for name in self.names}

        def top(name: str) -> str:
            while root[name] != name:
                name = root[name]
            return name

        for first, second in self.matches:
            root[top(second)] = top(first)
        found = dict[str, list[str]]()
        for name in self.names:
            found.setdefault(top(name), []).append(name)
        return sorted(found.values(), key=len, reverse=True)

    def renamed(self, names: Mapping[str, str]) -> Evidence:
        """The same with other names."""
        return Evidence(
            names=tuple(names[each] for each in self.names),
            features={names[each]: count for each, count in self.features.items()},
            matches={(names[first], names[second]): count for (first, second), count in self.matches.items()},
            still=frozenset((names[first], names[second]) for first, second in self.still),
            groups=tuple(frozenset(names[each] for each in group) for group in self.groups),
            fixed=frozenset((names[first], names[second]) for first, second in self.fixed),
            focal_ratios={names[each]: ratio for each, ratio in self.focal_ratios.items()},
        )

    def partners(self, name: str) -> dict[str, int]:
        """The photos that one has matches with, the most first."""
        found = {pair[pair[0] == name]: count for pair, count in self.matches.items() if name in pair}
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def why_not_placed(name: str, evidence: Evidence) -> str:
    """Why a photo has no place, as the end of a sentence that begins with its name."""
    features, partners = evidence.features.get(name, 0), evidence.partners(name)
    if features < _FEW_FEATURES:
        return f"has {features} features only: it is blurred or dark, or shows little but one colour"
    if not partners:
        beside = _neighbour(name, evidence)
        return (
            "matches no other photo: leave it out if it shows another thing, or take it again with half of the picture "
            f"in common with {beside}"
        )
    to_placed = [each for each in partners if each in evidence.placed]
    if not to_placed:
        return (
            f"matches only photos that have no place either ({some(list(partners))}): leave them out if they show "
            f"another thing, or photograph the way from there to {_neighbour(name, evidence)} in small steps"
        )
    best = to_placed[0]
    return (
        f"has {partners[best]} features in common with {best}, but no place fits them: it is blurred, too like it, or "
        "what it shows has moved"
    )


def check_enough(evidence: Evidence, at_least: float, *, one_lens: bool = False) -> None:
    """Refuse a reconstruction that has too few of the photos.

    Args:
        evidence: of all photos.
        at_least: share of them that has to have a place.
        one_lens: whether photos were taken for one lens's though nothing tells that they are.

    Raises:
        InputError: saying which photos are missing, and what to photograph.
    """
    count, placed = len(evidence.names), len(evidence.placed)
    if placed and placed >= at_least * count:
        return
    if is_fixed(evidence):
        raise InputError(f"{placed or 'None'} of {count} photos found their place: {fixed_to_the_picture(evidence)}")
    if not placed:
        raise InputError(_none_placed(evidence))
    missing, other = [name for name in evidence.names if name not in evidence.placed], evidence.largest_other()
    different = _different_things(evidence)
    if different:
        why = f"{different}. They seem to show different things: give photos of one"
    elif len(other) > 1:
        why = (
            f"{len(other)} others fit together among themselves, but not with these ({some(other)}). Leave them out "
            f"if they show another thing, {_gap(evidence)}"
        )
    else:
        gap = _gap(evidence)
        why = f"{missing[0]} {why_not_placed(missing[0], evidence)}. {gap[0].upper()}{gap[1:]}"
    apart = sum(len(group) for group in evidence.clusters() if evidence.placed.isdisjoint(group))
    if one_lens and apart < len(missing) / 2:
        # They show the same thing: of several lenses that are taken for one, few find a place.
        why += f", or give {setting('cameras', 'each')} if they are of several cameras or zoomed"
    raise InputError(
        f"Only {placed} of {count} photos found their place; {why}, or give "
        f"{setting('at_least', f'{placed / count:.2g}')} to go on with the {placed} (without a place are "
        f"{some(missing)})."
    )


def _different_things(evidence: Evidence) -> str:
    """How photos go together that share nothing with those that have a place; "" where photos in between may do.

    A way with a gap comes apart into two or three. Photos with next to no features tell nothing of what they show.
    """
    telling = {name for name in evidence.names if evidence.features.get(name, 0) >= _FEW_FEATURES}
    apart = [group for group in evidence.clusters() if evidence.placed.isdisjoint(group) and telling.issuperset(group)]
    count = sum(len(group) for group in apart)
    if len(apart) < _DIFFERENT or count < (len(evidence.names) - len(evidence.placed)) / 2:
        return ""
    said = [f"{len(group)} belong together ({some(group)})" for group in apart if len(group) > 1]
    if len(said) > _NAMED:
        said[_NAMED:] = [f"others in {len(said) - _NAMED} smaller groups"]
    alone = [group[0] for group in apart if len(group) == 1]
    if alone:
        said.append(f"{len(alone)} match{'es' if len(alone) == 1 else ''} no other ({some(alone)})")
    placed = [name for name in evidence.names if name in evidence.placed]
    return f"{count} others share nothing with these ({some(placed)}): {', '.join(said)}"


def is_fixed(evidence: Evidence) -> bool:
    """Whether most pairs of photos have something in common that does not move in the picture."""
    return len(evidence.fixed) > len(evidence.matches) / 2


def fixed_to_the_picture(evidence: Evidence) -> str:
    """The sentence, without its beginning, for such photos. A camera that moves shows nothing real so twice."""
    return (
        f"most of what {len(evidence.fixed)} of {len(evidence.matches)} matching pairs have in common is at the same "
        "pixels in both, as a caption is, or what is around a thing that turns before a camera that stands still. Crop "
        "it away, or make it one colour, or walk around the thing."
    )


def check_depth(evidence: Evidence, seen: Sequence[int]) -> None:
    """Refuse a reconstruction that hangs together by nothing, which comes of photos without depth.

    Args:
        evidence: of all photos.
        seen: how many points each photo with a place sees. COLMAP gives a place by 30 points and more; it drops points
            again that all photos see from one direction.

    Raises:
        InputError: saying what to photograph.
    """
    if median(seen) < _FEWEST_POINTS:
        raise InputError(_without_depth(evidence))


def _none_placed(evidence: Evidence) -> str:
    """The sentence for photos of which not even two fit together."""
    count = len(evidence.names)
    poor = [name for name in evidence.names if evidence.features.get(name, 0) < _FEW_FEATURES]
    if len(poor) > count / 2:
        return (
            f"{len(poor)} of {count} photos have next to no features ({poor[0]} has "
            f"{evidence.features.get(poor[0], 0)}): photograph something with texture, sharp and in good light, or put "
            "newspaper under it."
        )
    if not evidence.matches:
        return (
            f"No two of the {count} photos show the same thing from two sides ({some(list(evidence.names))}): walk "
            "around what you photograph in small steps, with at least half of each picture in common with the one "
            "before."
        )
    if len(evidence.matches) > count / 2 and len(evidence.still) > _FROM_ONE_PLACE * len(evidence.matches):
        return _without_depth(evidence)
    alone = [name for name in evidence.names if not evidence.partners(name)]
    if len(alone) > count / 2:
        return (
            f"{len(alone)} of {count} photos share nothing with any other ({some(alone)}): give photos of one thing, "
            "taken in small steps around it, with half of each picture in common with the one before."
        )
    more = f"; {some(alone)} match{'es' if len(alone) == 1 else ''} no other at all" if alone else ""
    few = f", {max(20, _FEW_PHOTOS)} photos or more" if count < _FEW_PHOTOS else ""
    return (
        f"None of the {count} photos could be placed: {len(evidence.matches)} of {count * (count - 1) // 2} pairs "
        f"match, none well enough to begin with{more}. Photograph in smaller steps around it{few}, sharp, with half of "
        "each picture in common with the one before."
    )


def _without_depth(evidence: Evidence) -> str:
    """The sentence for photos that no distances follow from."""
    return (
        f"The {len(evidence.names)} photos seem to be taken from one spot, or to show one flat surface: "
        f"{len(evidence.still)} of {len(evidence.matches)} matching pairs differ by a turn of the camera alone. Walk "
        "around what you photograph."
    )


def _gap(evidence: Evidence) -> str:
    """What to photograph: the way between two photos that follow each other, of which one has a place."""
    for first, second in pairwise(evidence.names):
        if (first in evidence.placed) != (second in evidence.placed):
            return f"photograph the way from {first} to {second} in small steps"
    return "photograph more of the way between them"


def _neighbour(name: str, evidence: Evidence) -> str:
    """The photo with a place that is nearest in the order of names, or the one beside it."""
    place = evidence.names.index(name)
    others = [each for each in evidence.names if each in evidence.placed] or [
        each for each in evidence.names if each != name
    ]
    return min(others, key=lambda each: abs(evidence.names.index(each) - place))


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
