"""The dataset's frame: that of the poses as its files give them, and the exact map from it to the model's.

nerfstudio's `dataparser_transform` starts elsewhere for nerfstudio-data: in the frame that ns-process-data turned away
from when it wrote the file, which its `applied_transform` leads back to. ns-export writes in that one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs

from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity

DATASET_FRAME = "dataset_frame"
"""Key of the map from the dataset's frame to the normalised one, a Similarity, in an output's metadata."""

# Of the largest distance in the normalised frame: float32 products of a few matrices.
_POSITION_TOLERANCE, _ROTATION_TOLERANCE = 1e-3, 1e-3

LARGEST_DISTANCE = 1000.0
"""Cameras that lie this many times farther from the model's origin than from each other have lost their poses."""


def parsers_map(outputs: DataparserOutputs) -> Similarity:
    """The map that nerfstudio's dataparser_transform and dataparser_scale say."""
    transform = outputs.dataparser_transform.detach().cpu().double().numpy()
    return Similarity.from_dataparser(transform, float(outputs.dataparser_scale))


def with_frame(outputs: DataparserOutputs, to_normalised: Similarity) -> DataparserOutputs:
    """The outputs, with the map from the dataset's frame in their metadata."""
    return replace(outputs, metadata={**outputs.metadata, DATASET_FRAME: to_normalised})


def with_applied(outputs: DataparserOutputs, applied: Float[np.ndarray, "3 4"], scale: float) -> DataparserOutputs:
    """The outputs of a parser that knew of no applied transform, with nerfstudio's terms as if it had."""
    whole = np.eye(4)
    whole[:3] = applied
    transform = outputs.dataparser_transform.detach().cpu().double().numpy() @ whole
    return replace(
        outputs,
        dataparser_transform=torch.from_numpy(transform).float(),
        dataparser_scale=float(outputs.dataparser_scale) * scale,
    )


def shift(offset: Float[np.ndarray, " 3"]) -> Similarity:
    """The map y = x - offset."""
    return Similarity(rotation=np.eye(3), scale=1.0, offset=-np.asarray(offset, dtype=np.float64))


def check_frame(
    outputs: DataparserOutputs, poses: Float[np.ndarray, "n 4 4"], to_normalised: Similarity, *, parser: str, data: Any
) -> None:
    """Refuse outputs whose cameras are not where the map takes the poses of the file.

    nerfstudio's orientation method pca, for one, turns two cameras over and leaves the others.

    Args:
        outputs: what the parser gave.
        poses: the poses of its images in the dataset's frame, camera to world.
        to_normalised: the map from that frame.
        parser: the parser's name, for the message.
        data: where the dataset is, for the message.

    Raises:
        InputError: a camera is elsewhere.
    """
    if len(poses) == 0:
        return
    given = outputs.cameras.camera_to_worlds.double().cpu().numpy()
    places = to_normalised.points(poses[:, :3, 3])
    limit = _POSITION_TOLERANCE * max(float(np.abs(places).max()), 1e-6)
    apart = np.abs(given[:, :3, 3] - places).max(axis=1) > limit
    turned = np.abs(given[:, :3, :3] - to_normalised.rotation @ poses[:, :3, :3]).max(axis=(1, 2)) > _ROTATION_TOLERANCE
    wrong = np.flatnonzero(apart | turned)
    if len(wrong):
        raise InputError(
            f"{parser} moves some cameras of {data} otherwise than it says, the one of "
            f"{Path(outputs.image_filenames[wrong[0]]).name} among them: give it another --orientation-method, such as "
            "up."
        )


def check_precision(outputs: DataparserOutputs, *, data: Any) -> None:
    """Refuse cameras that lie so far from the origin that float32 cannot tell them apart; InputError."""
    positions = outputs.cameras.camera_to_worlds[:, :3, 3].double().cpu().numpy()
    spread, distance = float(np.ptp(positions, axis=0).max()), float(np.abs(positions).max())
    if 0 < LARGEST_DISTANCE * spread < distance:
        raise InputError(
            f"The cameras of {data} lie {distance:.4g} from the origin but within {spread:.4g} of each other, which is "
            "lost in float32: subtract an offset from all positions in the file."
        )
