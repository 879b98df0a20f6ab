"""What the data of methods have in common that learn from measurements: the picture is judged by, never learnt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, cast

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.data.signals.datamanager import SignalDataManager, SignalDataManagerConfig
from inr_plugins.data.signals.images import SignalImages
from inr_plugins.data.signals.parser import SignalDataParser, SignalDataParserConfig, SignalOutputs
from inr_plugins.data.signals.sidecar import sidecar


def rounded_up(value: float) -> float:
    """A positive number to two digits, never below it: a kind's `high` that another machine finds the same."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-3) * unit:.6g}")


def stamp_of(path: Path) -> object:
    """What tells a file and the JSON beside it from what they were: times and sizes; for caches of what was read."""
    found = [each.stat() if each.exists() else None for each in (path, sidecar(path))]
    return tuple((each.st_mtime_ns, each.st_size) if each else None for each in found)


@dataclass
class MeasuredDataParserConfig(SignalDataParserConfig):
    """Measurements, or a picture and how it is measured."""

    _target: type = field(default_factory=lambda: MeasuredDataParser)
    """Class to instantiate."""
    memory_gigabytes: tyro.conf.Suppress[float] = 2.0
    """Not used: a step sees all of what is looked for."""
    NOTED: ClassVar[tuple[str, ...]] = ("learnt",)
    """Fields that say what there was when training began, so that a run opens without its data."""

    def settle(self) -> None:
        """Note what there is, in the fields of NOTED, before there is a run.

        Raises:
            InputError: it cannot be read.
        """
        self.learnt = self.kind()


class MeasuredDataParser(SignalDataParser):
    """As the base class; subclasses say whether what is looked for is known."""

    config: MeasuredDataParserConfig

    @property
    def has_truth(self) -> bool:
        """Whether what is looked for is known, so that a fit can be compared with it."""
        raise NotImplementedError


class MeasuredImages(SignalImages):
    """Pictures of what is looked for, or of a classical answer where that is not known."""

    @property
    def parser(self) -> MeasuredDataParser:
        """The parser that they are of."""
        return cast(MeasuredDataParser, cast(SignalOutputs, self._dataparser_outputs).parser)

    @property
    def has_truth(self) -> bool:
        """Whether the pictures are what is looked for."""
        return self.parser.has_truth


@dataclass
class MeasuredDataManagerConfig(SignalDataManagerConfig):
    """Settings of the datamanagers of what is measured."""

    _target: type = field(default_factory=lambda: MeasuredDataManager)
    """Class to instantiate."""
    dataparser: MeasuredDataParserConfig = field(default_factory=MeasuredDataParserConfig)
    """What is measured, and how."""
    pixels_per_batch: tyro.conf.Suppress[int] = 1 << 29
    """Not used: a measurement sees all of what is looked for."""
    seed: tyro.conf.Suppress[int | None] = None
    """Not used: nothing is drawn."""

    def settle_parser(self) -> None:
        """Note what there is, before there is a run; where there is none, that is said later.

        Raises:
            InputError: it cannot be read.
        """
        parser = self.dataparser
        at = parser if self.data is None else replace(parser, data=self.data)
        for name in parser.NOTED:
            setattr(parser, name, None)
        if Path(at.data).exists():
            at.settle()
            for name in parser.NOTED:
                setattr(parser, name, getattr(at, name))


class MeasuredDataManager(SignalDataManager):
    """Measurements to learn from, and pictures where a fit is judged.

    Subclasses give a step's batch (`_pixels`), and `measurement_scores(model)`: scores by measurements that were held
    out, of the fit and of classical answers.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: MeasuredDataManagerConfig
    dataparser: MeasuredDataParser

    def measured_line(self) -> str:
        """What is said of the measurements before training: how many, and how many are held out."""
        raise NotImplementedError

    def setup_train(self) -> None:
        """As the base class; and say what is measured."""
        super().setup_train()
        if self.test_mode == "val":
            CONSOLE.print(self.measured_line(), highlight=False, markup=False)

    @property
    def dataset_type(self) -> type[MeasuredImages]:
        """Of both splits."""
        return MeasuredImages

    def get_train_rays_per_batch(self) -> int:
        """Pixels or voxels, all of which a step evaluates."""
        return len(self.image.flat)

    def get_eval_rays_per_batch(self) -> int:
        """Pixels or voxels."""
        return len(self.image.flat)
