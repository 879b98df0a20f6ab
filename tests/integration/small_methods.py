"""The shipped presets, small enough for a training of a few steps."""

import copy

from inr_plugins.method_configs.cn_mipnerf import cn_mipnerf
from inr_plugins.method_configs.diner import diner
from inr_plugins.method_configs.diner_surface import diner_surface
from inr_plugins.method_configs.finer_nerf import finer_nerf
from inr_plugins.method_configs.images import cn_image, diner_image, diner_video
from inr_plugins.method_configs.nid import nid_shapes
from inr_plugins.method_configs.nid_ct import nid_ct
from inr_plugins.method_configs.nid_images import nid_image_fit, nid_images
from inr_plugins.method_configs.nid_video import nid_video
from inr_plugins.method_configs.shapes import finer_sdf
from inr_plugins.method_configs.streams import finer_stream
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig


def small_diner(data, output):
    """Diner; a change of stage is at step 70."""
    config = copy.deepcopy(diner.config)
    config.pipeline.datamanager.data = data
    config.pipeline.datamanager.train_num_rays_per_batch = 512
    model = config.pipeline.model
    model.num_voxels, model.coarse_voxels, model.coarse_steps = 8000, (1000, 3000), (50, 20)
    model.coarse_prune_every, model.prune_steps, model.warm_up_steps = 40, (10, 25), 5
    config.output_dir = output
    return config


def small_diner_surface(data, output):
    """diner-surface; a density is refined at step 10, a surface at step 20 and that refined at step 40."""
    config = copy.deepcopy(diner_surface.config)
    config.pipeline.datamanager.data = data
    config.pipeline.datamanager.train_num_rays_per_batch = 512
    model = config.pipeline.model
    model.hull_sizes, model.hull_steps, model.coarse_prune_every = (16, 24), (10, 10), 7
    model.lattice_sizes, model.stage_steps, model.smooth_share = (24, 32), (20,), (1.0, 4.0)
    model.colour_degrees = (0, 2)
    model.sharpening_steps, model.refresh_every, model.network.width = 20, 8, 16
    config.output_dir = output
    return config


def small_diner_surface_table(data, output):
    """diner-surface on opaque pictures; the density is refined at step 50 and a surface at step 70."""
    config = copy.deepcopy(diner_surface.config)
    config.pipeline.datamanager.dataparser = BlenderDataParserConfig(alpha_color="white")
    config.pipeline.datamanager.data = data
    config.pipeline.datamanager.train_num_rays_per_batch = 384
    model = config.pipeline.model
    model.capture = "table"
    model.coarse_sizes, model.coarse_steps, model.coarse_prune_every = (16, 24), (50, 20), 30
    model.lattice_sizes, model.stage_steps, model.smooth_share = (24, 32), (20,), (1.0, 4.0)
    model.colour_degrees = (0, 2)
    model.sharpening_steps, model.refresh_every, model.network.width = 20, 8, 16
    config.output_dir = output
    return config


def small_finer_nerf(data, output):
    """finer-nerf with finer-sine; samples become denser at steps 12 and 30."""
    config = copy.deepcopy(finer_nerf.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, manager.train_num_rays_per_batch, manager.train_view_stride = data, 256, 3
    model.width, model.hidden_layers, model.omega = 32, 2, 10.0
    model.samples_per_diagonal, model.double_samples_at = 96, (12, 30)
    model.grid_resolution, model.grid_refresh_every, model.grid_warm_up_steps = 16, 4, 16
    config.optimizers["fields"]["optimizer"].lr = 2e-3
    config.output_dir = output
    return config


def small_mipnerf(data, output):
    """cn-mipnerf."""
    config = copy.deepcopy(cn_mipnerf.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, manager.train_num_rays_per_batch = data, 128
    model.width, model.hidden_layers = 32, 3
    model.num_coarse_samples = model.num_fine_samples = 16
    config.optimizers["fields"]["optimizer"].lr = 5e-3
    config.output_dir = output
    return config


def small_neus(preset, data, output):
    """A preset of surfaces."""
    config = copy.deepcopy(preset.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, manager.train_num_rays_per_batch = data, 96
    model.width, model.hidden_layers, model.skips, model.colour_width, model.colour_layers = 24, 2, (), 16, 1
    model.uniform_samples, model.finer_samples, model.outside_samples = 24, 16, 8
    model.eikonal_points, model.start_steps = 64, 40
    config.optimizers["fields"]["optimizer"].lr = 2e-3
    config.output_dir = output
    return config


def small_shape(preset, data, output, lr):
    """A preset of one shape."""
    config = copy.deepcopy(preset.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, manager.points_per_batch = data, 600
    manager.dataparser.pool, manager.dataparser.image_size = 3000, 24
    model.width, model.hidden_layers = 32, 2
    if preset is finer_sdf:
        model.omega = 10.0
    else:
        model.octaves = 4
    for group in config.optimizers.values():
        group["optimizer"].lr = lr
    config.output_dir = output
    return config


def small_nid(preset, data, output):
    """nid-shapes, or nid-fit."""
    config = copy.deepcopy(preset.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, manager.points_per_batch = data, 800
    manager.dataparser.pool, manager.dataparser.image_size = 2000, 16
    if preset is nid_shapes:
        manager.shapes_per_batch = 2
        model.experts, model.active, model.expert_width = 24, 12, 6
        model.trunk_width, model.trunk_layers, model.omega, model.warmup_steps = 24, 2, 5.0, 5
        for group in config.optimizers.values():
            group["optimizer"].lr = 5e-3
    config.output_dir = output
    return config


def small_diner_image(data, output):
    """diner-image."""
    return _small_keys(diner_image, data, output)


def _small_keys(preset, data, output):
    config = copy.deepcopy(preset.config)
    config.pipeline.datamanager.data = data
    config.pipeline.model.network.width = 32
    config.output_dir = output
    return config


def small_stream(data, output, **settings):
    """finer-stream in three stages, with other settings of its model."""
    config = copy.deepcopy(finer_stream.config)
    config.pipeline.datamanager.data, config.output_dir = data, output
    model = config.pipeline.model
    model.widths, model.hidden_layers, model.omega = (6, 10, 16), 2, 8.0
    config.optimizers["fields"]["optimizer"].lr = 1e-2
    for name, value in settings.items():
        setattr(model, name, value)
    return config


def small_network_image(preset, data, output):
    """finer-image, cn-image or finer-video."""
    config = copy.deepcopy(preset.config)
    config.pipeline.datamanager.data = data
    config.pipeline.model.width = 24
    config.pipeline.model.hidden_layers = 3 if preset is cn_image else 2
    config.optimizers["fields"]["optimizer"].lr = 1e-2
    config.output_dir = output
    return config


def small_nid_video(data, output):
    """nid-video."""
    config = copy.deepcopy(nid_video.config)
    config.pipeline.datamanager.data, config.output_dir = data, output
    model = config.pipeline.model
    model.experts, model.expert_width, model.trunk_width, model.time_width, model.omega = 6, 6, 32, 16, 12.0
    for group in config.optimizers.values():
        group["optimizer"].lr = 1e-2
    return config


def small_diner_video(data, output):
    """diner-video."""
    return _small_keys(diner_video, data, output)


def small_nid_images(data, output):
    """nid-images."""
    config = copy.deepcopy(nid_images.config)
    config.pipeline.datamanager.data, config.output_dir = data, output
    model = config.pipeline.model
    model.experts, model.expert_width, model.trunk_width, model.omega, model.warmup_steps = 12, 6, 32, 12.0, 5
    for group in config.optimizers.values():
        group["optimizer"].lr = 5e-3
    return config


def small_nid_image_fit(data, dictionary, output):
    """nid-image-fit."""
    config = copy.deepcopy(nid_image_fit.config)
    config.pipeline.datamanager.data, config.output_dir = data, output
    config.pipeline.model.dictionary = dictionary
    return config


def small_nid_ct(data, dictionary, output):
    """nid-ct."""
    config = copy.deepcopy(nid_ct.config)
    config.pipeline.datamanager.data, config.output_dir = data, output
    config.pipeline.model.dictionary = dictionary
    return config
