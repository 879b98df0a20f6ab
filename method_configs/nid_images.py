"""`ns-train nid-images` and `nid-image-fit`: a dictionary of the pictures of a folder, and unseen ones over it."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.pictures import MaskedPicturesDataParserConfig, PictureDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.row_adam import RowAdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.nid.image_fit import NidImageFitModelConfig
from inr_plugins.models.nid.images import NidImagesModelConfig

nid_images = MethodSpecification(
    config=InrTrainerConfig(
        method_name="nid-images",
        max_num_iterations=1_000,
        steps_per_save=500,
        pipeline=InrPipelineConfig(datamanager=PictureDataManagerConfig(), model=NidImagesModelConfig()),
        optimizers={
            "dictionary": {"optimizer": AdamConfig(lr=1e-3), "scheduler": RunDecayConfig()},
            "encoder": {"optimizer": AdamConfig(lr=1e-3), "scheduler": RunDecayConfig()},
            # A step touches the rows of some patches.
            "codes": {"optimizer": RowAdamConfig(lr=1e-2), "scheduler": RunDecayConfig()},
        },
    ),
    description="Neural implicit dictionary of pictures: learns what the pictures of a folder share.",
)
nid_image_fit = MethodSpecification(
    config=InrTrainerConfig(
        method_name="nid-image-fit",
        # What counts was done before the first of them.
        max_num_iterations=10,
        steps_per_save=500,
        pipeline=InrPipelineConfig(
            datamanager=PictureDataManagerConfig(dataparser=MaskedPicturesDataParserConfig(), pixels_per_batch=1 << 26),
            model=NidImageFitModelConfig(),
        ),
        optimizers={"code": {"optimizer": AdamConfig(lr=3e-3), "scheduler": RunDecayConfig()}},
    ),
    description="Unseen pictures, whole or with parts missing, as codes over a dictionary of nid-images.",
)
