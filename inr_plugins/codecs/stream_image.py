"""An image as a file of a network in stages: a block for each, so that what has come of a file is an image.

header | colour profile, where there is one | stage 1 | stage 2 | ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from inr_plugins.codecs.container import ContainerFile, CutShortError, prefix_sizes
from inr_plugins.codecs.entropy import pack, unpack
from inr_plugins.codecs.image import LARGEST_PROFILE, CodedImage, are_bands, check_size
from inr_plugins.codecs.network import most_bytes, numbers_from, symbols_of
from inr_plugins.codecs.stream import QuantisedStream, StreamShape
from inr_plugins.errors import InputError, setting


@dataclass(frozen=True, eq=False)
class StreamCode(CodedImage[QuantisedStream]):
    """An image in stages."""

    SIGNAL = "image stream"

    def sizes(self) -> list[int]:
        """Bytes of the file up to the end of each stage."""
        return prefix_sizes(self._header, self._blocks)[-len(self.network.shape.widths) :]

    def until(self, stage: int) -> StreamCode:
        """The image of the first stages alone."""
        return replace(self, network=self.network.until(stage))

    @cached_property
    def _blocks(self) -> list[bytes]:
        found, network = self._profile_blocks, self.network
        for stage in range(1, len(network.shape.widths) + 1):
            names = list(network.shape.of_stage(stage))
            packed = [pack(symbols_of(names, network.numbers, network.exponents, bits)) for bits in range(4, 8)]
            found.append(min(packed, key=len))
        return found


@dataclass(frozen=True, eq=False)
class ReadStream:
    """What was read of a file.

    Attributes:
        code: the image up to the last stage that was read.
        stages: that the whole file has.
        is_cut: the file ends before the stage that was wanted does.
    """

    code: StreamCode
    stages: int
    is_cut: bool


def read_stream_code(file: ContainerFile, name: str, *, stage: int | None = None) -> ReadStream:
    """The image in a file whose header says that it is a stream.

    Args:
        file: of which no block has been read.
        name: what it is called.
        stage: the last one to read, behind which nothing is looked at; None: all that are whole.

    Raises:
        InputError: it is damaged, or cut short before its first stage ends, or before the wanted one does.
    """
    header = file.header
    try:
        width, height = header["size"]
        shape = StreamShape.from_json(header["network"])
        check_size(width, height, header["bits"])
        extra = file.count - len(shape.widths)
        has_bands = are_bands(header, shape.outputs)
        if shape.inputs != 2 or extra not in (0, 1):
            raise ValueError("a network that is none of an image")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name} holds no image that can be read ({error}): take it again.") from error
    count = len(shape.widths)
    if stage is not None and not 1 <= stage <= count:
        raise InputError(f"{name} has {count} stages: give {setting('stage')} a number from 1 to {count}.")
    try:
        profile = unpack(file.block(), LARGEST_PROFILE) if extra else None
        numbers, exponents, whole = _read_stages(file, name, shape, stage)
        network = shape.until(whole).network(numbers, exponents)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name} holds no image that can be read ({error}): take it again.") from error
    code = StreamCode(int(width), int(height), int(header["bits"]), network, profile, has_bands)
    return ReadStream(code, count, is_cut=whole < (stage or count))


def _read_stages(
    file: ContainerFile, name: str, shape: StreamShape, wanted: int | None
) -> tuple[dict[str, np.ndarray], dict[str, int], int]:
    """Numbers and exponents of all stages that are there and wanted, and how many these are."""
    numbers: dict[str, np.ndarray] = {}
    exponents: dict[str, int] = {}
    for stage in range(1, (wanted or len(shape.widths)) + 1):
        tensors = shape.of_stage(stage)
        try:
            block = file.block()
        except CutShortError as error:
            if stage == 1:
                raise
            if wanted is not None:
                raise InputError(
                    f"{name} is cut short or damaged behind stage {stage - 1}, and {setting('stage')} {wanted} is not "
                    "in it: give a lower one, or take the file again."
                ) from error
            return numbers, exponents, stage - 1
        own, steps = numbers_from(tensors, unpack(block, most_bytes(tensors)))
        numbers |= own
        exponents |= steps
    if wanted is None:
        file.rest()
    return numbers, exponents, wanted or len(shape.widths)
