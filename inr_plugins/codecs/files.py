"""What an .inr file holds: an image, whole or in stages."""

from __future__ import annotations

from dataclasses import dataclass

from inr_plugins.codecs.container import ContainerFile
from inr_plugins.codecs.image import ImageCode, read_image_code
from inr_plugins.codecs.stream_image import StreamCode, read_stream_code
from inr_plugins.errors import InputError, setting


@dataclass(frozen=True, eq=False)
class ReadImage:
    """What was read of a file.

    Attributes:
        code: the image.
        stage: of a stream, the last one that was read; None: an image without stages.
        stages: that the whole file has.
        is_cut: the file ends before all that was wanted.
    """

    code: ImageCode | StreamCode
    stage: int | None = None
    stages: int | None = None
    is_cut: bool = False


def read_image_file(data: bytes, name: str, *, stage: int | None = None) -> ReadImage:
    """The image in a file.

    Args:
        data: all bytes that there are.
        name: what it is called.
        stage: of a stream, the last one to read; None: all that are whole.

    Raises:
        InputError: it is no such file, of a newer version or damaged; it is cut short and no stream, or one without a
            whole stage or the wanted one; or it has no stages and one is asked for.
    """
    file = ContainerFile(data, name)
    if file.header.get("signal") == StreamCode.SIGNAL:
        read = read_stream_code(file, name, stage=stage)
        return ReadImage(read.code, len(read.code.network.shape.widths), read.stages, read.is_cut)
    if stage is not None:
        raise InputError(f"{name} has no stages: leave {setting('stage')} out, which is for files of finer-stream.")
    return ReadImage(read_image_code(data, name))
