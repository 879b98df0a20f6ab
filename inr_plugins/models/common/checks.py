"""What several families check of their settings beside the ranges of single ones (`inr_plugins.options`)."""

from __future__ import annotations

from inr_plugins.errors import InputError
from inr_plugins.options import model_option


def check_planes(near: float, far: float | None) -> None:
    """Raise InputError unless rays are sampled between two planes; a far one of None is chosen later."""
    if far is not None and not far > near:
        raise InputError(
            f"{model_option('far_plane')} must lie beyond {model_option('near_plane')}, got {far:g} and {near:g}: give "
            "others, or leave both out."
        )
