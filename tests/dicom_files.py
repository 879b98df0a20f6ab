"""Slices in DICOM as a scanner writes them, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SOP_CLASSES = {"MR": pydicom.uid.MRImageStorage, "CT": pydicom.uid.CTImageStorage}


def write_slices(
    folder: Path,
    stored: np.ndarray,
    *,
    rotation: np.ndarray | None = None,
    modality: str = "MR",
    pixel_mm: tuple[float, float] = (2, 1.5),
    step_mm: float = 4,
    scale: tuple[float, float] = (0.5, 10),
    name: Callable[[int], str] | None = None,
    change: Callable[[int, FileDataset], None] | None = None,
) -> np.ndarray:
    """Write slices under names in no order.

    Args:
        folder: for them.
        stored: 16-bit whole numbers (slices, rows, columns).
        rotation: its columns are the directions of rising columns, rows and slices.
        modality: MR or CT.
        pixel_mm: distance of rows, and of columns.
        step_mm: of slices, which are 3 mm thick.
        scale: slope and intercept.
        name: of the file of a slice.
        change: is given each of them before it is written.

    Returns:
        What they mean.
    """
    folder.mkdir(exist_ok=True)
    rotation, count, series = np.eye(3) if rotation is None else rotation, len(stored), generate_uid()
    for k in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = SOP_CLASSES[modality]
        meta.MediaStorageSOPInstanceUID = generate_uid()
        told = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        told.SOPClassUID, told.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        told.SeriesInstanceUID, told.SeriesDescription, told.Modality = series, "T1", modality
        told.InstanceNumber = (7 * k) % count
        told.Rows, told.Columns = stored.shape[1:]
        told.SamplesPerPixel, told.PhotometricInterpretation = 1, "MONOCHROME2"
        told.BitsAllocated = told.BitsStored = 16
        told.HighBit, told.PixelRepresentation = 15, int(stored.dtype.kind == "i")
        told.PixelSpacing, told.SliceThickness = list(pixel_mm), 3
        told.RescaleSlope, told.RescaleIntercept = scale
        told.ImageOrientationPatient = [float(f"{each:.8f}") for each in (*rotation[:, 0], *rotation[:, 1])]
        told.ImagePositionPatient = [float(f"{each:.8f}") for each in step_mm * k * rotation[:, 2] + [7, 8, 9]]
        told.PixelData = stored[k].tobytes()
        if change is not None:
            change(k, told)
        told.save_as(folder / (name(k) if name else f"{(5 * k) % count}.dcm"), enforce_file_format=True)
    return stored * np.float32(scale[0]) + np.float32(scale[1])
