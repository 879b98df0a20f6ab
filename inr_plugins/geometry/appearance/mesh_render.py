"""Pictures of a mesh by ray casting on the CPU, without a display: to look at what was made, and to turn it around."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from inr_plugins.geometry.appearance.ray_casting import MeshCaster
from inr_plugins.geometry.mesh import Mesh, vertex_normals
from inr_plugins.geometry.pinhole import PinholeViews

Direction = Float[np.ndarray, " 3"] | Sequence[float]
"""Three numbers."""

_FILLED = 0.92
"""Part of a turntable's picture that the mesh may fill."""
_GREY = 0.9
# Shares of the light that comes from everywhere, from the camera, and from above; together 1 on a face that sees both.
_AMBIENT, _HEAD, _ABOVE = 0.2, 0.6, 0.2


class MeshRenderer:
    """Draws one mesh from any number of cameras.

    Args:
        mesh: in the frame of the cameras; without normals, smooth ones are made from its faces.
        up: direction from which a little of the light comes, in the same frame; of any length.
        shaded: whether the light falls on it. By default a mesh with colours is drawn as it is, for a field's colours
            contain the light already, and one without is drawn grey and shaded.

    Raises:
        ValueError: `up` has no length.
        InputError: open3d cannot be imported.
    """

    def __init__(self, mesh: Mesh, *, up: Direction = (0.0, 0.0, 1.0), shaded: bool | None = None) -> None:
        self._faces = mesh.faces
        self._normals = vertex_normals(mesh) if mesh.normals is None else mesh.normals
        self._colours = mesh.colours
        self._shaded = mesh.colours is None if shaded is None else shaded
        self._up = _unit(up)
        self._caster = MeshCaster(mesh)

    def render(
        self,
        views: PinholeViews,
        view: int,
        *,
        samples: int = 2,
        background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The image of one camera in sRGB: each pixel the mean, in display values, of samples x samples rays."""
        width, height = int(views.width[view]), int(views.height[view])
        grid = views.pixel_grid(view, columns=width * samples, rows=height * samples)
        directions = views.directions(view, grid)
        hits = self._caster.first_hits(views.origin(view), directions)
        (ray,) = np.nonzero(hits.face >= 0)
        picture = np.tile(np.asarray(background, dtype=np.float32), (len(directions), 1))
        picture[ray] = self._shade(hits.face[ray], hits.barycentric[ray], directions[ray])
        blocks = picture.reshape(height, samples, width, samples, 3)
        # Not blocks.mean(axis=(1, 3)): numpy takes ten times as long over short axes.
        total = sum(blocks[:, i, :, j] for i in range(samples) for j in range(samples))
        return np.rint(255 / samples**2 * np.clip(total, 0.0, samples**2)).astype(np.uint8)

    def _shade(
        self, face: np.ndarray, barycentric: np.ndarray, directions: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        corners = self._faces[face]
        albedo = np.full((len(face), 3), _GREY)
        if self._colours is not None:
            albedo = np.einsum("nk,nkd->nd", barycentric, self._colours[corners])
        if not self._shaded:
            return albedo
        normal = np.einsum("nk,nkd->nd", barycentric, self._normals[corners])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        to_eye = -directions / np.linalg.norm(directions, axis=1, keepdims=True)
        facing = np.einsum("ij,ij->i", normal, to_eye)
        above = np.sign(facing) * (normal @ self._up)  # the back of an open surface is lit like its front
        light = _AMBIENT + _HEAD * np.abs(facing) + _ABOVE * (1 + above) / 2
        return albedo * light[:, None]


def render_mesh(
    mesh: Mesh,
    camera_to_world: Float[np.ndarray, "3 4"],
    *,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
    samples: int = 2,
    up: Direction = (0.0, 0.0, 1.0),
    shaded: bool | None = None,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> UInt8[np.ndarray, "h w 3"]:
    """One picture of a mesh, sRGB; camera and image coordinates as `PinholeViews`, the rest as `MeshRenderer`.

    Raises:
        ValueError: a camera that is none, or `up` without length.
        InputError: open3d cannot be imported.
    """
    view = PinholeViews(
        camera_to_world=camera_to_world[None],
        fx=np.array([float(fx)]),
        fy=np.array([float(fy)]),
        cx=np.array([float(cx)]),
        cy=np.array([float(cy)]),
        width=np.array([width]),
        height=np.array([height]),
    )
    return MeshRenderer(mesh, up=up, shaded=shaded).render(view, 0, samples=samples, background=background)


def turntable_frames(
    mesh: Mesh,
    *,
    frames: int = 90,
    size: int = 512,
    up: Direction = (0.0, 0.0, 1.0),
    elevation: float = 20.0,
    field_of_view: float = 35.0,
    samples: int = 2,
    shaded: bool | None = None,
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Square pictures of one turn of the camera around the mesh's box, the mesh filling them.

    Args:
        mesh: in any frame.
        frames: pictures of the turn, at least 1.
        size: side of a picture, pixels.
        up: the axis of the turn in the mesh's frame, upwards in the pictures.
        elevation: of the camera above the plane across `up`, degrees, between -89 and 89.
        field_of_view: degrees, between 1 and 120.
        samples: rays along a pixel's side.
        shaded: as for `MeshRenderer`.

    Raises:
        ValueError: an argument outside its range, before the first picture.
        InputError: open3d cannot be imported.
    """
    if frames < 1 or size < 1:
        raise ValueError(f"frames is {frames} and size {size}; both must be at least 1.")
    if not -89 <= elevation <= 89 or not 1 <= field_of_view <= 120:
        raise ValueError(
            f"elevation is {elevation} and field_of_view {field_of_view} degrees; they must lie between -89 and 89, "
            "and between 1 and 120."
        )
    views = _orbit(mesh, frames, size, _unit(up), elevation=elevation, field_of_view=field_of_view)
    renderer = MeshRenderer(mesh, up=up, shaded=shaded)
    return (renderer.render(views, view, samples=samples) for view in range(frames))


def _orbit(
    mesh: Mesh, frames: int, size: int, up: np.ndarray, *, elevation: float, field_of_view: float
) -> PinholeViews:
    """Cameras on a circle around the middle of the mesh's box, as near as they may come and still see all of it."""
    middle, rise = mesh.bounds.mean(axis=0), math.radians(elevation)
    tangent = math.tan(math.radians(field_of_view) / 2)
    distance = _distance(mesh.vertices - middle, up, rise=rise, tangent=_FILLED * tangent)
    side = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    side /= np.linalg.norm(side)
    ahead = np.cross(up, side)
    angle = 2 * np.pi * np.arange(frames)[:, None] / frames
    back = math.cos(rise) * (np.cos(angle) * side + np.sin(angle) * ahead) + math.sin(rise) * up
    right = np.cross(up, back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.stack([right, np.cross(back, right), back, middle + distance * back], axis=2)
    focal = np.full(frames, size / 2 / tangent)
    centre, side_length = np.full(frames, size / 2), np.full(frames, size)
    return PinholeViews(poses, focal, focal, centre, centre, side_length, side_length)


def _distance(points: Float[np.ndarray, "v 3"], up: np.ndarray, *, rise: float, tangent: float) -> float:
    """Least distance from the origin at which an orbiting camera has the points in its square image all around.

    A point at the height h and r from the axis, turned by a towards the camera, is r sin(a) to the side of the optical
    axis, h cos(rise) - r cos(a) sin(rise) above it, and distance - r cos(a) cos(rise) - h sin(rise) ahead. Neither of
    the first two may exceed the last times the tangent of half the field of view; below is the worst a of each.
    """
    height = points @ up
    ring = np.linalg.norm(points - height[:, None] * up, axis=1)
    flat, steep = math.cos(rise), math.sin(rise)
    sideways = ring * math.hypot(flat, 1 / tangent)
    above = height * flat / tangent + ring * abs(flat - steep / tangent)
    below = -height * flat / tangent + ring * abs(flat + steep / tangent)
    return float((height * steep + np.maximum(sideways, np.maximum(above, below))).max())


def _unit(vector: Direction) -> Float[np.ndarray, " 3"]:
    array = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(array))
    if array.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"up is {list(vector)}; it must be three numbers, not all zero.")
    return array / length
