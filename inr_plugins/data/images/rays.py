"""Rays of the pixels of many cameras, looked up instead of computed.

Cameras.generate_rays works out every ray from the intrinsics, three times over for the pixel's area, with ten Newton
steps for a distorted lens. Nearly all datasets have one lens, or a few, and only the poses differ: here the rays of
each lens are computed once, by generate_rays itself, in the frame of the camera, and a batch is a look-up and a
rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

MAX_TABLE_PIXELS = 8_000_000
"""Largest table, over all lenses; with its 5 floats a pixel, 160 MB."""

# The rays of the other types do not all start where the camera is.
_CENTRAL_TYPES = (CameraType.PERSPECTIVE, CameraType.FISHEYE, CameraType.EQUIRECTANGULAR, CameraType.FISHEYE624)

_CHUNK = 1 << 18


@dataclass
class RayTable:
    """Rays of all pixels of the distinct lenses of some cameras, and the poses of those cameras.

    Rays equal those of Cameras.generate_rays to float32 rounding (tested), pixel_area for a rigid pose.
    """

    rows: Float[Tensor, "pixels 5"]
    """For each pixel of each lens: unit direction in the frame of the camera (OpenGL: x right, y up, z backwards),
    pixel_area, and the length of the direction before it was normalised."""
    starts: Int[Tensor, " cameras"]
    """Row of the first pixel of the lens of each camera."""
    widths: Int[Tensor, " cameras"]
    """Pixels in a line of each camera's image."""
    rotations: Float[Tensor, "cameras 3 3"]
    """Camera to world."""
    origins: Float[Tensor, "cameras 3"]
    """Position of each camera, in the normalised frame."""
    times: Float[Tensor, "cameras 1"] | None
    """Time of each camera, if they have one."""

    def rays(self, indices: Int[Tensor, "rays 3"]) -> RayBundle:
        """Return the rays through the middles of pixels.

        Args:
            indices: camera, line and column of each pixel.

        Returns:
            Rays as Cameras.generate_rays gives them: unit directions and origins in the normalised frame, pixel_area,
            camera_indices (rays, 1), metadata["directions_norm"]; nears and fars are left to the model's collider.
        """
        camera = indices[:, 0]
        row = self.rows[self.starts[camera] + indices[:, 1] * self.widths[camera] + indices[:, 2]]
        directions = torch.sum(row[:, None, :3] * self.rotations[camera], dim=-1)
        stretch = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
        return RayBundle(
            origins=self.origins[camera],
            directions=directions / stretch,
            pixel_area=row[:, 3:4],
            camera_indices=camera[:, None],
            metadata={"directions_norm": row[:, 4:5] * stretch},
            times=None if self.times is None else self.times[camera],
        )


def make_ray_table(cameras: Cameras, *, max_pixels: int = MAX_TABLE_PIXELS) -> RayTable | None:
    """Tabulate the rays of `cameras`, or return None if that cannot be done within `max_pixels`.

    Nor can it for cameras whose rays do not start at one point (omnidirectional stereo, VR180, orthographic), or that
    carry metadata of their own, which generate_rays would pass on.
    """
    central = torch.tensor([kind.value for kind in _CENTRAL_TYPES], device=cameras.device)
    if cameras.metadata or not bool(torch.isin(cameras.camera_type, central).all()):
        return None
    first_of_lens, lens_of_camera = _distinct_lenses(cameras)
    sizes = (cameras.width * cameras.height)[first_of_lens, 0].long()
    if int(sizes.sum()) > max_pixels:
        return None
    starts = torch.cumsum(sizes, dim=0) - sizes
    return RayTable(
        rows=torch.cat([_lens_rows(cameras, int(index)) for index in first_of_lens]),
        starts=starts[lens_of_camera],
        widths=cameras.width[:, 0].long(),
        rotations=cameras.camera_to_worlds[:, :3, :3].contiguous(),
        origins=cameras.camera_to_worlds[:, :3, 3].contiguous(),
        times=cameras.times,
    )


def _distinct_lenses(cameras: Cameras) -> tuple[Int[Tensor, " lenses"], Int[Tensor, " cameras"]]:
    """Return a camera of each distinct lens, and the lens of each camera."""
    parts = [cameras.fx, cameras.fy, cameras.cx, cameras.cy, cameras.width, cameras.height, cameras.camera_type]
    if cameras.distortion_params is not None:
        parts.append(cameras.distortion_params)
    keys = torch.cat([part.double() for part in parts], dim=-1)
    _, lens_of_camera = torch.unique(keys, dim=0, return_inverse=True)
    first_of_lens = torch.full((int(lens_of_camera.max()) + 1,), len(keys), device=keys.device)
    first_of_lens.scatter_reduce_(0, lens_of_camera, torch.arange(len(keys), device=keys.device), reduce="amin")
    return first_of_lens, lens_of_camera


def _lens_rows(cameras: Cameras, index: int) -> Float[Tensor, "pixels 5"]:
    """Return the rows of the lens of camera `index`: its rays with the camera at the origin, unturned."""
    distortion = cameras.distortion_params
    camera = Cameras(
        camera_to_worlds=torch.eye(4, device=cameras.device)[None, :3],
        fx=cameras.fx[index : index + 1],
        fy=cameras.fy[index : index + 1],
        cx=cameras.cx[index : index + 1],
        cy=cameras.cy[index : index + 1],
        width=cameras.width[index : index + 1],
        height=cameras.height[index : index + 1],
        distortion_params=None if distortion is None else distortion[index : index + 1],
        camera_type=cameras.camera_type[index : index + 1],
    )
    rows = []
    for coords in camera.get_image_coords().to(cameras.device).reshape(-1, 2).split(_CHUNK):
        zeros = torch.zeros((len(coords), 1), dtype=torch.long, device=cameras.device)
        rays = camera.generate_rays(camera_indices=zeros, coords=coords)
        rows.append(torch.cat([rays.directions, rays.pixel_area, rays.metadata["directions_norm"]], dim=-1))
    return torch.cat(rows)
