"""The data of `ns-train cn-mri`: coefficients of a slice or a volume, of k-space, or measured of the volume itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, cast

import torch
import tyro
from jaxtyping import Float

from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.measured import (
    OPTION,
    MeasuredDataManager,
    MeasuredDataManagerConfig,
    MeasuredDataParser,
    MeasuredDataParserConfig,
    rounded_up,
    stamp_of,
)
from inr_plugins.data.signals.medical_file import Affine
from inr_plugins.data.signals.resonance_file import KSpace, Volume, read_resonance
from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.operators.protocol import Operator
from inr_plugins.operators.resonance import (
    Coefficients,
    coil_maps,
    measure_volume,
    parted,
    smoothest_volume,
    zero_filled,
)
from inr_plugins.options import OF_THE_DATA


@dataclass(frozen=True)
class Voxels:
    """Where voxels are: what a run keeps of a volume to be read out without it.

    Attributes:
        spacing_mm: of slices, rows and columns, or of rows and columns.
        has_truth: whether the volume itself is known.
        affine: where voxels are in the patient, of NIfTI and DICOM.
    """

    spacing_mm: tuple[float, ...]
    has_truth: bool
    affine: Affine | None = None


@dataclass(frozen=True, eq=False)
class MeasuredVolume(SignalImage):
    """A slice or a volume of which coefficients are measured; where it is not known, its pixels are those of zero
    filling, clamped.

    Attributes:
        voxels: where they are.
        measured: of k-space, coefficients of what is 1 where the kind's `high` is; None: there is none yet.
        told: sentences on what was taken for granted in the file.
    """

    voxels: Voxels = field(kw_only=True)
    measured: Coefficients | None = field(default=None, kw_only=True)
    told: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """See SignalImage."""
        return self.told

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels."""
        *frames, height, width, channels = self.pixels.shape
        high = float(self.pixels.max())
        return SignalKind(width, height, channels, self.bits, frames=(frames or [1])[0], low=0.0, high=rounded_up(high))


@dataclass
class VolumeDataParserConfig(MeasuredDataParserConfig):
    """K-space, or a volume and how it is measured."""

    _target: type = field(default_factory=lambda: VolumeDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Volume or slice, which is measured, and judged by, never learnt; or k-space: .npy, .npz, .h5 or .hdf5, with
    <name>.json beside it (see the page of cn-mri). A volume may be NIfTI or a folder of DICOM slices, and k-space
    ISMRMRD, too."""
    slice: int | None = None
    """Which slice of k-space whose slices were measured one by one, from 0; by default the middle one."""
    share: float | None = None
    """Of a volume: share of its Fourier coefficients that are measured, most of them near to frequency 0; by default
    0.126."""
    noise: float = 0.0
    """Of a volume: noise of the measurements, its root mean square as a share of theirs, such as 0.05."""
    noise_seed: int = 0
    """Seed of the noise, and of which coefficients are measured and which are held out."""
    same_operator: bool = False
    """Of a volume: measure it as a fit is measured, voxels as points, as the papers do; else as cubes."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of volume that is, as it was when training began."""
    voxels: tyro.conf.Suppress[tyro.conf.Fixed[Voxels | None]] = field(default=None, metadata=OF_THE_DATA)
    """Where its voxels are, as they were when training began."""
    NOUN: ClassVar[str] = "volume"
    SEEN: ClassVar[str] = "voxels"

    def read(self) -> MeasuredVolume:
        """The volume, or k-space as one; InputError where it can be neither."""
        path = Path(self.data)
        found = _read(path, stamp_of(path), self.noise_seed, self.slice)
        if found.measured is not None and (self.noise or self.share is not None or self.same_operator):
            raise InputError(
                f"{OPTION}.share, noise and same-operator say how a volume is measured, and --data {shown(path)} was: "
                "leave them out."
            )
        return found

    @property
    def measured_share(self) -> float:
        """Of a volume's coefficients."""
        return 0.126 if self.share is None else self.share


@lru_cache(maxsize=1)
def _read(path: Path, stamp: object, seed: int, wanted: int | None) -> MeasuredVolume:
    """What is at a place, which is read once while its files are what they were (`stamp`)."""
    found = read_resonance(path, wanted=wanted)
    if isinstance(found, Volume):
        voxels = Voxels(found.spacing_mm, True, found.affine)
        return MeasuredVolume(path, found.numbers[..., None], voxels=voxels, told=found.notes)
    return _of_k_space(path, found, seed)


def _of_k_space(path: Path, found: KSpace, seed: int) -> MeasuredVolume:
    numbers = torch.from_numpy(found.numbers)
    mask = numbers.abs().sum(0) > 0
    measured = parted(mask, torch.view_as_real(numbers[:, mask]), maps=coil_maps(mask, numbers), seed=seed)
    pixels = zero_filled(measured).clamp(min=0)[..., None].numpy()
    if not pixels.any():
        raise InputError(f"--data {shown(path)} gives an empty volume: give k-space of something.")
    voxels = Voxels(found.spacing_mm, False)
    high = MeasuredVolume(path, pixels, voxels=voxels).kind.high
    scaled = replace(measured, learnt=measured.learnt / high, held_out=measured.held_out / high)
    return MeasuredVolume(path, pixels, voxels=voxels, measured=scaled, told=found.notes)


class VolumeDataParser(MeasuredDataParser):
    """As the base class; the metadata that the model gets have "voxels" too."""

    config: VolumeDataParserConfig
    METADATA = "voxels"

    @cached_property
    def measured(self) -> Coefficients:
        """What was measured, of values from 0 to 1."""
        image = cast(MeasuredVolume, self.image)
        if image.measured is not None:
            return image.measured
        config = self.config
        return measure_volume(
            torch.from_numpy(image.values()[..., 0]),
            share=config.measured_share,
            noise=config.noise,
            seed=config.noise_seed,
            same_operator=config.same_operator,
        )

    @cached_property
    def classical(self) -> dict[str, Float[torch.Tensor, "*axes"]]:
        """Answers without a network: zero_filled and tv, as `operators.resonance` has them."""
        return {"zero_filled": zero_filled(self.measured), "tv": smoothest_volume(self.measured)}

    @cached_property
    def truth(self) -> Float[torch.Tensor, "*axes"] | None:
        """The volume as values from 0 to 1, where it is known."""
        return torch.from_numpy(self.image.values()[..., 0]) if self.has_truth else None


@dataclass
class VolumeDataManagerConfig(MeasuredDataManagerConfig):
    """Settings of the datamanager of volumes that are measured."""

    _target: type = field(default_factory=lambda: VolumeDataManager)
    """Class to instantiate."""
    dataparser: VolumeDataParserConfig = field(default_factory=VolumeDataParserConfig)
    """Which volume, and how it is measured."""


class VolumeDataManager(MeasuredDataManager):
    """All coefficients in every step, and pictures of slices where a fit is judged.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: VolumeDataManagerConfig
    dataparser: VolumeDataParser
    HELD_OUT = "coefficients"

    def measured_line(self) -> str:
        """See MeasuredDataManager."""
        measured = self.dataparser.measured
        coils, learnt, _ = measured.operator.output_shape
        share = 100 * learnt / measured.operator.mask.numel()
        of = f" of {coils} coils each" if coils > 1 else ""
        return f"Learnt from {learnt:,} coefficients{of}, {share:.3g} %; {measured.held_out.shape[1]:,} are held out."

    @cached_property
    def _operator(self) -> Operator:
        return self.dataparser.measured.operator.to(self.device)
