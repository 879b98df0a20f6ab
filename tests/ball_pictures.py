"""Pictures of a ball, by cameras around it, with masks in closed form."""

from types import SimpleNamespace

import torch
from nerfstudio.cameras.cameras import Cameras

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])
RADIUS, MIDDLE = 0.4, torch.tensor([0.1, -0.15, 0.2])
SIZE = 60


def cameras(count=12, **more):
    """Cameras around the box at distance 3, looking at its middle."""
    torch.manual_seed(0)
    back = torch.nn.functional.normalize(torch.randn(count, 3), dim=-1)
    right = torch.nn.functional.normalize(
        torch.linalg.cross(torch.tensor([[0.1, 0.2, 1.0]]).expand_as(back), back), dim=-1
    )
    poses = torch.stack([right, torch.linalg.cross(back, right), back, 3 * back], -1)
    return Cameras(poses, fx=70.0, fy=72.0, cx=SIZE / 2 + 1, cy=SIZE / 2 - 2, width=SIZE, height=SIZE, **more)


def mask_of(rig, view):
    """Pixels whose ray meets the ball."""
    rays = rig.generate_rays(camera_indices=view)
    along = ((MIDDLE - rays.origins) * rays.directions).sum(-1, keepdim=True)
    return (rays.origins + along * rays.directions - MIDDLE).norm(dim=-1) < RADIUS


class Pictures(SimpleNamespace):
    """A dataset of masks."""

    def get_data(self, index):
        mask = self.masks[index]
        return {"image": torch.cat([torch.ones(*mask.shape, 3), mask[..., None].float()], -1)}


def pictures(rig, masks=None):
    count = len(rig)
    masks = masks or [mask_of(rig, view) for view in range(count)]
    return Pictures(cameras=rig, masks=masks, image_filenames=[f"view{view}.png" for view in range(count)])
