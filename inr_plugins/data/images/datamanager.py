"""nerfstudio's datamanager of rays and pixels with checks of the data before it is used, and quick on a CPU.

It serves any dataparser that gives images and poses. What it leaves to nerfstudio it says in :meth:`_why_stock`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, VanillaDataManagerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataParser
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.pixel_samplers import PixelSamplerConfig
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from nerfstudio.model_components.ray_generators import RayGenerator
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.data.fingerprint import Fingerprint, fingerprint_of_views
from inr_plugins.data.images.files import right_parser
from inr_plugins.data.images.images import InrDataset
from inr_plugins.data.images.parser import CheckedDataParser, TestMode
from inr_plugins.data.images.pixels import MaskUse, PixelStore, load_pixels, store_bytes
from inr_plugins.data.images.rays import RayTable, make_ray_table
from inr_plugins.data.images.splits import names_splits
from inr_plugins.errors import InputError
from inr_plugins.files import cache_folder

GIGABYTE = 1 << 30

STOCK_BYTES = 24
"""What nerfstudio's loader takes for a pixel: 12 as float32, and as much again while it stacks the images."""


@dataclass
class InrDataManagerConfig(VanillaDataManagerConfig):
    """Settings of the datamanager of all image methods of this package."""

    _target: type = field(default_factory=lambda: InrDataManager)
    """Class to instantiate."""
    cache_gigabytes: float = 4.0
    """Memory for the images of both splits, in gigabytes, at 4 bytes a pixel (5 with masks). A split that has no room
    left in it is kept in a file of that size in cache_folder, and memory does not grow with it."""
    cache_folder: Path | None = None
    """Folder for the file of images that take more than cache_gigabytes; by default this package's, in the user's
    cache. It is best on a quick local disk, and the file is gone when the process ends."""
    gpu_cache_gigabytes: float = 2.0
    """On a GPU, images that take less than this are kept there; images_on_gpu lifts the limit."""
    train_view_stride: int = 1
    """Train on the first training view and every n-th after it; 4 makes 25 views of 100. Held-out views all stay."""
    masks: MaskUse = "sample-inside"
    """What masks are for: pixels are drawn inside them only, or everywhere with their mask or alpha as a label."""

    def settle_parser(self) -> None:
        """Have `data` read by nerfstudio-data where it is that, and no dataparser was named: the default is Blender's.

        Raises:
            InputError: its transforms.json cannot be read.
        """
        is_default = type(self.dataparser) is BlenderDataParserConfig
        if self.data is None or not is_default or self.dataparser.data != BlenderDataParserConfig().data:
            return
        folder = Path(self.data)
        # os.path's: of a name that no file can have they say no, and the next one who reads says why.
        if not os.path.isdir(folder) or os.path.exists(folder / "transforms_train.json"):
            return
        if right_parser(folder) == "nerfstudio-data":
            self.dataparser = NerfstudioDataParserConfig()
            CONSOLE.print(f"{self.data} is read as nerfstudio-data.", soft_wrap=True)


class InrDataManager(VanillaDataManager[InrDataset]):
    """VanillaDataManager that checks its data, keeps images as bytes and looks rays up.

    The batches have nerfstudio's meaning: `image` (rays, 3 or 4) float32 in [0, 1], composited over the dataparser's
    alpha_color if that is set, else with straight alpha; `indices` (rays, 3) of camera, line and column; `mask` if
    there are masks, inside which pixels are drawn. All pixels of the split are equally likely. Batches follow from
    torch's default generator alone, whatever was drawn or evaluated before.

    Where masks are labels, pixels are drawn everywhere, `mask` (rays, 1) is what the mask says of each, and alpha is
    passed on straight whatever alpha_color says (but composited, as by nerfstudio, where its loader is used).

    Raises:
        InputError: from the constructor, if the dataset or an option is bad; it names the file or the option.
    """

    config: InrDataManagerConfig

    def __init__(
        self,
        config: InrDataManagerConfig,
        device: torch.device | str = "cpu",
        test_mode: TestMode = "val",
        world_size: int = 1,
        local_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        self._fingerprint: Fingerprint | None = None
        self._pixels: dict[str, PixelStore] = {}
        self._in_memory = 0
        self._rays: dict[str, RayTable | RayGenerator] = {}
        if config.masks == "labels":
            # nerfstudio's own sampler then draws everywhere too.
            config = replace(config, pixel_sampler=replace(config.pixel_sampler, ignore_mask=True))
        super().__init__(
            config=config, device=device, test_mode=test_mode, world_size=world_size, local_rank=local_rank, **kwargs
        )
        if test_mode == "val":
            self._look_at_the_test_split()

    def _look_at_the_test_split(self) -> None:
        """Say before training what its evaluation would fail on afterwards."""
        if not names_splits(self.config.dataparser):
            return
        try:
            self.dataparser.get_dataparser_outputs(split="test")
        except InputError as error:
            CONSOLE.print(f"[bold yellow]Warning:[/bold yellow] the trained run cannot be evaluated. {error}")

    @property
    def dataparser(self) -> DataParser:
        """The parser of the dataset, with checks around it."""
        return self._dataparser

    @dataparser.setter
    def dataparser(self, parser: DataParser) -> None:
        self._dataparser = CheckedDataParser(
            parser, test_mode=self.test_mode, train_view_stride=self.config.train_view_stride
        )

    @property
    def all_train_cameras(self) -> Cameras:
        """The cameras of all training images, in the normalised frame."""
        return self.train_dataset.cameras

    def data_fingerprint(self) -> Fingerprint:
        """Numbers by which the training views are known again, at another place or resolution too; made once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of_views(self.train_dataset)
        return self._fingerprint

    # -- setting up ----------------------------------------------------------------------------------------------------

    def setup_train(self) -> None:
        """Make training batches ready; to train, images are loaded here, so that a bad one is found at once."""
        reason = self._why_stock(self.train_dataset, images=self.config.train_num_images_to_sample_from)
        if reason is not None:
            CONSOLE.print(f"Training images are sampled as nerfstudio does, because {reason}.{self._stock_bytes()}")
            super().setup_train()
            return
        self.train_pixel_sampler = self._get_pixel_sampler(self.train_dataset, self.config.train_num_rays_per_batch)
        if self.test_mode == "val":
            self._store("train")

    def setup_eval(self) -> None:
        """Make batches and whole images of the held-out split ready."""
        reason = self._why_stock(self.eval_dataset, images=self.config.eval_num_images_to_sample_from)
        if reason is not None:
            CONSOLE.print(f"Held-out images are sampled as nerfstudio does, because {reason}.")
            super().setup_eval()
            return
        self.eval_pixel_sampler = self._get_pixel_sampler(self.eval_dataset, self.config.eval_num_rays_per_batch)
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(self.eval_dataset, device=self.device)
        self.eval_dataloader = RandIndicesEvalDataloader(self.eval_dataset, device=self.device)
        if self.test_mode == "val":
            self._store("eval")

    def _why_stock(self, dataset: InrDataset, *, images: int) -> str | None:
        """Say why batches from `dataset` are left to nerfstudio's loader, pixel sampler and ray generator, if so."""
        config, sampler = self.config, self.config.pixel_sampler
        if type(sampler) is not PixelSamplerConfig or config.patch_size > 1 or sampler.keep_full_image:
            return "the pixel sampler is not the plain one"
        if dataset.has_masks and sampler.ignore_mask and config.masks != "labels":
            return "masks are ignored in sampling"
        if 0 <= images < len(dataset):
            return "only some images are to be sampled from at a time"
        made = self._get_pixel_sampler(dataset, config.train_num_rays_per_batch).config
        if made.is_equirectangular or made.fisheye_crop_radius is not None:
            return "the cameras want pixels that are not equally likely"
        return None

    def _stock_bytes(self) -> str:
        """What nerfstudio's loader takes, as a sentence, where that is more than images may have."""
        cameras, chosen = self.train_dataset.cameras, self.config.train_num_images_to_sample_from
        share = 1.0 if chosen < 0 else min(1.0, chosen / len(self.train_dataset))
        size = STOCK_BYTES * share * int((cameras.width.long() * cameras.height.long()).sum())
        if size <= self.config.cache_gigabytes * GIGABYTE:
            return ""
        return (
            f" It takes {size / GIGABYTE:.3g} GB of memory, whatever --pipeline.datamanager.cache-gigabytes says; "
            "--pipeline.datamanager.train-num-images-to-sample-from bounds it."
        )

    # -- batches -------------------------------------------------------------------------------------------------------

    def next_train(self, step: int) -> tuple[RayBundle, dict[str, Any]]:
        """Return rays through random pixels of all training images, and what is known of those pixels."""
        if hasattr(self, "train_image_dataloader"):
            return super().next_train(step)
        self.train_count += 1
        return self._batch("train", self.get_train_rays_per_batch())

    def next_eval(self, step: int) -> tuple[RayBundle, dict[str, Any]]:
        """Return rays through random pixels of all held-out images, and what is known of those pixels."""
        if hasattr(self, "eval_image_dataloader"):
            return super().next_eval(step)
        self.eval_count += 1
        return self._batch("eval", self.get_eval_rays_per_batch())

    def _batch(self, split: str, count: int) -> tuple[RayBundle, dict[str, Tensor]]:
        batch, indices = self._store(split).batch(count, device=self.device)
        source = self._rays[split]
        return (source.rays(indices) if isinstance(source, RayTable) else source(indices)), batch

    def _store(self, split: str) -> PixelStore:
        """The pixels of `split`, loaded when first asked for, as is what makes its rays."""
        if split not in self._pixels:
            dataset = self.train_dataset if split == "train" else self.eval_dataset
            cameras = dataset.cameras.to(self.device)
            self._pixels[split] = load_pixels(
                dataset,
                device=self._pixel_device(dataset),
                split=split,
                masks=self.config.masks,
                folder=self._folder_for(dataset, split),
            )
            self._rays[split] = make_ray_table(cameras) or RayGenerator(cameras).to(self.device)
        return self._pixels[split]

    def _folder_for(self, dataset: InrDataset, split: str) -> Path | None:
        """Where the pixels of a split go that have no room left in memory; None for those that have."""
        limit, size = self.config.cache_gigabytes, store_bytes(dataset)
        if self._in_memory + size <= limit * GIGABYTE:
            self._in_memory += size
            return None
        folder = self.config.cache_folder or cache_folder()
        CONSOLE.print(
            f"The {split} images take {size / GIGABYTE:.3g} GB, for which --pipeline.datamanager.cache-gigabytes "
            f"{limit:g} leaves no memory: they are kept in a file in {folder}."
        )
        return folder

    def _pixel_device(self, dataset: InrDataset) -> torch.device | str:
        fits = store_bytes(dataset) <= self.config.gpu_cache_gigabytes * GIGABYTE
        return self.device if fits or self.config.images_on_gpu else "cpu"
