"""Settings of datamanagers whose batches are not rays of photographs."""

from __future__ import annotations

from dataclasses import dataclass, field

import tyro
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.pixel_samplers import PixelSamplerConfig


@dataclass
class NoRaysConfig(VanillaDataManagerConfig):
    """What nerfstudio's rays need, and points or pixels of a signal do not, is left off the command line."""

    masks_on_gpu: tyro.conf.Suppress[bool] = False
    """Not used."""
    images_on_gpu: tyro.conf.Suppress[bool] = False
    """Not used."""
    train_num_rays_per_batch: tyro.conf.Suppress[int] = 1024
    """Pixels at once for nerfstudio's exporters, which set it themselves."""
    train_num_images_to_sample_from: tyro.conf.Suppress[int] = -1
    """Not used."""
    train_num_times_to_repeat_images: tyro.conf.Suppress[int] = -1
    """Not used."""
    eval_num_rays_per_batch: tyro.conf.Suppress[int] = 1024
    """Not used."""
    eval_num_images_to_sample_from: tyro.conf.Suppress[int] = -1
    """Not used."""
    eval_num_times_to_repeat_images: tyro.conf.Suppress[int] = -1
    """Not used."""
    eval_image_indices: tyro.conf.Suppress[tuple[int, ...] | None] = (0,)
    """Not used."""
    camera_res_scale_factor: tyro.conf.Suppress[float] = 1.0
    """Scale of the pictures, beside the size that the dataparser gives them."""
    patch_size: tyro.conf.Suppress[int] = 1
    """Not used."""
    pixel_sampler: tyro.conf.Suppress[PixelSamplerConfig] = field(default_factory=PixelSamplerConfig)
    """Not used."""
