"""A dataparser around another one: it checks what goes in and what comes out, and says what broke in between."""

from __future__ import annotations

from typing import Any, Literal

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs

from inr_plugins.data.checks import check_dataparser_outputs, check_dataset_files
from inr_plugins.errors import InputError

TestMode = Literal["test", "val", "inference"]


class CheckedDataParser(DataParser):
    """`parser`, with every kind of bad dataset turned into an InputError of one sentence.

    Intrinsics come out in float32: blender-data gives a float64 focal length, which `ns-render spiral` fails on.

    Args:
        parser: the dataparser that reads the data.
        test_mode: nerfstudio's word for what the data is for: "val" (training), "test" (evaluation, which does not
            need the training images) or "inference" (no images at all).
    """

    def __init__(self, parser: DataParser, *, test_mode: TestMode) -> None:
        super().__init__(parser.config)
        self.parser = parser
        self.test_mode = test_mode
        self.includes_time = parser.includes_time

    @property
    def downscale_factor(self) -> Any:
        """The resolution that the parser has settled on, if it has such a thing."""
        return getattr(self.parser, "downscale_factor", None)

    @downscale_factor.setter
    def downscale_factor(self, value: Any) -> None:
        self.parser.downscale_factor = value  # type: ignore[attr-defined]

    def get_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> DataparserOutputs:
        """Return the images and cameras of `split`, checked.

        Raises:
            InputError: the data or an option is bad. An exception that the parser was not expected to raise becomes
                one too, with its text, and is chained.
        """
        in_use = self.test_mode == "val" or (self.test_mode == "test" and split != "train")
        check_dataset_files(self.config, split=split, read_images=self.test_mode != "inference")
        try:
            outputs = self.parser.get_dataparser_outputs(split=split, **kwargs)
        except InputError:
            raise
        except Exception as error:
            text = " ".join(str(error).split()) or "no further word"
            raise InputError(
                f"{type(self.parser).__name__}'s dataparser cannot read the {split} split of {self.config.data} "
                f"({type(error).__name__}: {text}): mend the data, or choose another dataparser at the end of the "
                "command."
            ) from error
        check_dataparser_outputs(outputs, split=split, config=self.config, read_images=in_use)
        _use_float32(outputs.cameras)
        return outputs

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> DataparserOutputs:
        return self.get_dataparser_outputs(split, **kwargs)


def _use_float32(cameras: Cameras) -> None:
    for name in ("camera_to_worlds", "fx", "fy", "cx", "cy", "distortion_params"):
        value = getattr(cameras, name)
        if value is not None:
            setattr(cameras, name, value.float())
