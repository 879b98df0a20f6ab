"""What config.yml names is public: a run is opened again by the places of these classes."""

from __future__ import annotations

import re
from importlib.metadata import entry_points

import yaml

PUBLIC = {
    "inr_plugins.data.images.datamanager.InrDataManager",
    "inr_plugins.data.images.datamanager.InrDataManagerConfig",
    "inr_plugins.data.shapes.datamanager.ShapeDataManager",
    "inr_plugins.data.shapes.datamanager.ShapeDataManagerConfig",
    "inr_plugins.data.shapes.parser.ShapeDataParser",
    "inr_plugins.data.shapes.parser.ShapeDataParserConfig",
    "inr_plugins.data.signals.datamanager.SignalDataManager",
    "inr_plugins.data.signals.datamanager.SignalDataManagerConfig",
    "inr_plugins.data.signals.parser.SignalDataParser",
    "inr_plugins.data.signals.parser.SignalDataParserConfig",
    "inr_plugins.data.signals.parser.VideoDataParserConfig",
    "inr_plugins.data.signals.lensless.LightDataManager",
    "inr_plugins.data.signals.lensless.LightDataManagerConfig",
    "inr_plugins.data.signals.lensless.LightDataParser",
    "inr_plugins.data.signals.lensless.LightDataParserConfig",
    "inr_plugins.data.signals.resonance.VolumeDataManager",
    "inr_plugins.data.signals.resonance.VolumeDataManagerConfig",
    "inr_plugins.data.signals.resonance.VolumeDataParser",
    "inr_plugins.data.signals.resonance.VolumeDataParserConfig",
    "inr_plugins.data.signals.tomography.SliceDataManager",
    "inr_plugins.data.signals.tomography.SliceDataManagerConfig",
    "inr_plugins.data.signals.tomography.SliceDataParser",
    "inr_plugins.data.signals.tomography.SliceDataParserConfig",
    "inr_plugins.engine.defaults.InrLoggingConfig",
    "inr_plugins.engine.defaults.InrMachineConfig",
    "inr_plugins.engine.defaults.InrViewerConfig",
    "inr_plugins.engine.optimization.adam.AdamConfig",
    "inr_plugins.engine.optimization.delayed_decay.DelayedDecay",
    "inr_plugins.engine.optimization.delayed_decay.DelayedDecayConfig",
    "inr_plugins.engine.optimization.row_adam.RowAdam",
    "inr_plugins.engine.optimization.row_adam.RowAdamConfig",
    "inr_plugins.engine.optimization.run_cosine.RunCosine",
    "inr_plugins.engine.optimization.run_cosine.RunCosineConfig",
    "inr_plugins.engine.optimization.run_decay.RunDecay",
    "inr_plugins.engine.optimization.run_decay.RunDecayConfig",
    "inr_plugins.engine.optimization.schedulers.ExponentialDecay",
    "inr_plugins.engine.optimization.schedulers.ExponentialDecayConfig",
    "inr_plugins.engine.optimization.stage_decay.StageDecay",
    "inr_plugins.engine.optimization.stage_decay.StageDecayConfig",
    "inr_plugins.engine.pipeline.InrPipeline",
    "inr_plugins.engine.pipeline.InrPipelineConfig",
    "inr_plugins.engine.trainer.InrTrainer",
    "inr_plugins.engine.trainer.InrTrainerConfig",
    "inr_plugins.models.cn_mipnerf.model.CnMipNerfModel",
    "inr_plugins.models.cn_mipnerf.model.CnMipNerfModelConfig",
    "inr_plugins.models.diner.model.DinerModel",
    "inr_plugins.models.diner.model.DinerModelConfig",
    "inr_plugins.models.diner_surface.model.DinerSurfaceModel",
    "inr_plugins.models.diner_surface.table.DinerSurfaceCaptureConfig",
    "inr_plugins.models.finer_nerf.model.FinerNerfModel",
    "inr_plugins.models.finer_nerf.model.FinerNerfModelConfig",
    "inr_plugins.models.inverse.lensless.LenslessModel",
    "inr_plugins.models.inverse.lensless.LenslessModelConfig",
    "inr_plugins.models.inverse.resonance.CnVolumeModelConfig",
    "inr_plugins.models.inverse.resonance.ResonanceModel",
    "inr_plugins.models.inverse.tomography.CnSliceModelConfig",
    "inr_plugins.models.inverse.tomography.SliceModel",
    "inr_plugins.models.neus.length.NeusTrainerConfig",
    "inr_plugins.models.neus.model.NeusModel",
    "inr_plugins.models.neus.model.NeusModelConfig",
    "inr_plugins.models.nid.fit.NidFitModel",
    "inr_plugins.models.nid.fit.NidFitModelConfig",
    "inr_plugins.models.nid.fit_trainer.NidFitTrainer",
    "inr_plugins.models.nid.fit_trainer.NidFitTrainerConfig",
    "inr_plugins.models.nid.shapes.NidShapesModel",
    "inr_plugins.models.nid.shapes.NidShapesModelConfig",
    "inr_plugins.models.shapes.cn_occupancy.CnOccupancyModel",
    "inr_plugins.models.shapes.cn_occupancy.CnOccupancyModelConfig",
    "inr_plugins.models.shapes.finer_sdf.FinerSdfModel",
    "inr_plugins.models.shapes.finer_sdf.FinerSdfModelConfig",
    "inr_plugins.models.signals.coordinate_image.CnImageModelConfig",
    "inr_plugins.models.signals.coordinate_image.CoordinateImageModel",
    "inr_plugins.models.signals.coordinate_image.FinerImageModelConfig",
    "inr_plugins.models.signals.coordinate_image.FinerVideoModelConfig",
    "inr_plugins.models.signals.stream_image.StreamImageModel",
    "inr_plugins.models.signals.stream_image.StreamImageModelConfig",
    "inr_plugins.models.signals.diner_image.DinerImageModel",
    "inr_plugins.models.signals.diner_image.DinerImageModelConfig",
    "inr_plugins.networks.coordinate_network.CoordinateNetworkConfig",
}


def test_configurations_name_classes_at_their_public_places() -> None:
    """Whoever moves one of them makes runs of before unreadable: read those as well, or say so to their owners."""
    points = [
        point for point in entry_points(group="nerfstudio.method_configs") if point.value.startswith("inr_plugins.")
    ]
    named = {name for point in points for name in re.findall(r"inr_plugins[\w.]+", yaml.dump(point.load().config))}
    assert named == PUBLIC
