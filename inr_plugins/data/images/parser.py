"""A dataparser around another one: it checks what goes in and what comes out, and says what broke in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParser
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.data.images.checks import check_dataparser_outputs, check_dataset_files
from inr_plugins.data.images.lens_checks import lens_remarks, share_without_ray
from inr_plugins.data.images.poses import looking_away, one_pose
from inr_plugins.data.images.reading import read_split
from inr_plugins.data.images.splits import STANDS_IN, split_to_read
from inr_plugins.errors import InputError

TestMode = Literal["test", "val", "inference"]


class CheckedDataParser(DataParser):
    """`parser`, with every kind of bad dataset turned into an InputError of one sentence.

    Intrinsics come out in float32: blender-data gives a float64 focal length, which `ns-render spiral` fails on. What
    nerfstudio's parsers would drop or misread is fixed (see `images.reading`); of a dataset that has one held-out
    split only, that one is read for both, and the metadata say so under `images.splits.STANDS_IN`.

    Args:
        parser: the dataparser that reads the data.
        test_mode: nerfstudio's word for what the data is for: "val" (training), "test" (evaluation, which does not
            need the training images) or "inference" (no images at all).
        train_view_stride: of the training views only the first and every train_view_stride-th after it are there.
            The frame, the scene box and the other splits are those of the whole dataset.

    Raises:
        InputError: train_view_stride below 1.
    """

    def __init__(self, parser: DataParser, *, test_mode: TestMode, train_view_stride: int = 1) -> None:
        super().__init__(parser.config)
        if train_view_stride < 1:
            raise InputError(
                f"--pipeline.datamanager.train-view-stride must be at least 1 (every view), got {train_view_stride}."
            )
        self.parser = parser
        self.test_mode = test_mode
        self.train_view_stride = train_view_stride
        self.includes_time = parser.includes_time
        self._said: set[str] = set()
        self._images: dict[str, frozenset[Path]] = {}
        self._factor_name = "_downscale_factor" if isinstance(parser, ColmapDataParser) else "downscale_factor"

    @property
    def downscale_factor(self) -> Any:
        """The resolution that the parser has settled on, if it has such a thing."""
        return getattr(self.parser, self._factor_name, None)

    @downscale_factor.setter
    def downscale_factor(self, value: Any) -> None:
        setattr(self.parser, self._factor_name, value)

    def get_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> DataparserOutputs:
        """Return the images and cameras of `split`, checked.

        Raises:
            InputError: the data or an option is bad. An exception that the parser was not expected to raise becomes
                one too, with its text, and is chained.
        """
        in_use = self.test_mode == "val" or (self.test_mode == "test" and split != "train")
        read = self._split_to_read(split)
        check_dataset_files(self.config, split=read, read_images=self.test_mode != "inference")
        try:
            outputs = read_split(self.parser, read, **kwargs)
        except InputError:
            raise
        except Exception as error:
            text = " ".join(str(error).split()) or "no further word"
            raise InputError(
                f"{type(self.parser).__name__}'s dataparser cannot read the {split} split of {self.config.data} "
                f"({type(error).__name__}: {text}): fix the data, or choose another dataparser at the end of the "
                "command."
            ) from error
        if split == "train" and self.train_view_stride > 1 and 0 < len(outputs.image_filenames) == len(outputs.cameras):
            outputs = every_nth_view(outputs, self.train_view_stride)
        check_dataparser_outputs(outputs, split=split, config=self.config, read_images=in_use)
        if split == "train" and in_use:
            self._say_where_cameras_look(outputs)
            self._say_what_is_unlikely(outputs)
        self._say_shared_images(outputs, split)
        _use_float32(outputs.cameras)
        if read != split:
            outputs = replace(outputs, metadata={**outputs.metadata, STANDS_IN: read})
        return outputs

    def _say_where_cameras_look(self, outputs: DataparserOutputs) -> None:
        """Say once if the cameras look away from the point that their axes meet in."""
        away = looking_away(outputs.cameras.camera_to_worlds.double().cpu().numpy())
        if away and "away" not in self._said:
            self._said.add("away")
            CONSOLE.print(
                f"{away} of {len(outputs.cameras)} cameras of {self.config.data} look away from the point that their "
                "axes meet in. If they should look at it, the poses have OpenCV's axes (y down, z forward): turn the "
                "signs of the second and third column of each transform_matrix, since nerfstudio's cameras look along "
                "-z with y up.",
                soft_wrap=True,
            )

    def _say_what_is_unlikely(self, outputs: DataparserOutputs) -> None:
        """Say once what looks like a slip in lenses and poses, and is right in some datasets."""
        remarks = lens_remarks(outputs.cameras, outputs.image_filenames)
        pair = one_pose(outputs.cameras.camera_to_worlds.double().cpu().numpy())
        if pair is not None:
            first, second = (outputs.image_filenames[k] for k in pair)
            remarks.append(
                f"The cameras of {first} and {second} have one pose, to the last digit: if they were not taken from "
                "one place, one of the two was copied."
            )
        folded = share_without_ray(outputs.cameras)
        if bool((folded > 0).any()):
            worst = int(folded.argmax())
            remarks.append(
                f"The distortion of the camera of {outputs.image_filenames[worst]} leaves "
                f"{float(folded[worst]):.1%} of its pixels, in the corners, without a ray: what is learnt from them is "
                "wrong."
            )
        for remark in remarks:
            if remark not in self._said:
                self._said.add(remark)
                CONSOLE.print(remark, soft_wrap=True)

    def _say_shared_images(self, outputs: DataparserOutputs, split: str) -> None:
        """Say once if images that are held out are trained on, where that is not what was asked for."""
        self._images[split] = frozenset(outputs.image_filenames)
        if getattr(self.config, "eval_mode", None) == "all" or "train" not in self._images:
            return
        for other in self._images.keys() - {"train"}:
            shared = self._images["train"] & self._images[other]
            if shared and f"{other} shares" not in self._said:
                self._said.add(f"{other} shares")
                CONSOLE.print(
                    f"{len(shared)} of {len(self._images[other])} images of the {other} split of {self.config.data} "
                    f"are in its train split too ({min(shared).name} is one): measures on them say nothing of new "
                    "views.",
                    soft_wrap=True,
                )

    def _split_to_read(self, split: str) -> str:
        """The split that the dataset has for `split`, said once where it is another."""
        # What is wrong with the files themselves is said by their checks.
        read = split_to_read(self.config, split) if Path(self.config.data).exists() else split
        if read != split and split not in self._said:
            self._said.add(split)
            CONSOLE.print(f"{self.config.data} has no {split} split: its {read} split is taken for it.")
        return read

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> DataparserOutputs:
        return self.get_dataparser_outputs(split, **kwargs)


def every_nth_view(outputs: DataparserOutputs, stride: int) -> DataparserOutputs:
    """The outputs with the first view and every stride-th after it; lists of files, one a view, are thinned alike."""
    count, kept = len(outputs.image_filenames), slice(None, None, stride)

    def thin(value: Any) -> Any:
        is_per_view = isinstance(value, list) and len(value) == count and all(isinstance(each, Path) for each in value)
        return value[kept] if is_per_view else value

    return replace(
        outputs,
        image_filenames=outputs.image_filenames[kept],
        cameras=outputs.cameras[kept],
        mask_filenames=thin(outputs.mask_filenames),
        metadata={name: thin(value) for name, value in outputs.metadata.items()},
    )


def _use_float32(cameras: Cameras) -> None:
    for name in ("camera_to_worlds", "fx", "fy", "cx", "cy", "distortion_params"):
        value = getattr(cameras, name)
        if value is not None:
            setattr(cameras, name, value.float())
