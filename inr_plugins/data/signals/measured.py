"""What the data of methods have in common that learn from measurements: the picture is judged by, never learnt."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import tyro
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.data.signals.bands_file import ChannelAxis
from inr_plugins.data.signals.datamanager import SignalDataManager, SignalDataManagerConfig
from inr_plugins.data.signals.images import SignalImages
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.parser import SignalDataParser, SignalDataParserConfig, SignalOutputs
from inr_plugins.data.signals.sidecar import sidecar
from inr_plugins.data.signals.windows import PixelWindow
from inr_plugins.operators.protocol import Operator
from inr_plugins.signal_grid import SignalPixels

OPTION = "--pipeline.datamanager.dataparser"
"""How options of these data begin."""


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
    channel_axis: tyro.conf.Suppress[ChannelAxis | None] = None
    """Not used."""
    FRAMES: ClassVar[str] = "slices"
    SEEN: ClassVar[str] = "seen"
    """The field, of what is read too, that says how what is looked for is seen, and whether it is known (has_truth)."""

    @property
    def noted(self) -> tuple[str, ...]:
        """Fields that say what there was when training began, so that a run opens without its data."""
        return ("learnt", self.SEEN)

    def kind(self) -> SignalKind:
        """What kind of picture or volume that is."""
        return self.read().kind

    def settle(self) -> None:
        """Note what there is, in the fields that are `noted`, before there is a run.

        Raises:
            InputError: it cannot be read.
        """
        found = self.read()
        self.learnt = found.kind
        setattr(self, self.SEEN, getattr(found, self.SEEN))


class MeasuredDataParser(SignalDataParser):
    """As the base class, of one file or one folder; the metadata that the model gets say how it is seen, too.

    Attributes:
        measured: what is `learnt` from, and what is `held_out`; 1 of what is looked for is the kind's `high`.
        classical: answers without a network, tensors by the names of their methods.
        truth: what is looked for, a tensor; None: it is not known.
        METADATA: name of what the model gets.
    """

    config: MeasuredDataParserConfig
    measured: Any
    classical: Any
    truth: Any
    METADATA: ClassVar[str] = "seen"

    @property
    def seen(self) -> Any:
        """How what is looked for is seen: as it was when training began, or as the data has it."""
        kept = getattr(self.config, self.config.SEEN)
        return getattr(self.image, self.config.SEEN) if kept is None else kept

    @property
    def has_truth(self) -> bool:
        """Whether what is looked for is known, so that a fit can be compared with it."""
        return bool(self.seen.has_truth)

    def _files(self, windows: list[PixelWindow]) -> list[Path]:
        """All slices are in the one file, or in the one folder."""
        return [Path(self.config.data)] * len(windows)

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> SignalOutputs:
        outputs = super()._generate_dataparser_outputs(split, **kwargs)
        outputs.metadata[self.METADATA] = asdict(self.seen)
        return outputs


class MeasuredImages(SignalImages):
    """Pictures of what is looked for, or of a classical answer where that is not known; beside them what judges a fit:
    measurements that were held out."""

    @property
    def parser(self) -> MeasuredDataParser:
        """The parser that they are of."""
        return cast(MeasuredDataParser, cast(SignalOutputs, self._dataparser_outputs).parser)

    @property
    def has_truth(self) -> bool:
        """Whether the pictures are what is looked for."""
        return self.parser.has_truth

    def get_metadata(self, data: dict) -> dict:
        """measured and has_truth."""
        return {} if self.stands_in else {"measured": self.parser.measured, "has_truth": self.has_truth}


class ComparedImages(MeasuredImages):
    """The one picture of what is looked for, or of a classical answer, which a fit is compared with as a whole.

    Attributes:
        judges: whether classical answers are wanted too, which take some seconds to a minute.
    """

    judges = False

    def get_metadata(self, data: dict) -> dict:
        """Also truth (None: it is not known) and, where they are wanted, answers by the names of their methods."""
        found = super().get_metadata(data)
        answers = self.parser.classical if found and self.judges else {}
        return found | {"truth": self.parser.truth, "answers": answers} if found else {}


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
        for name in parser.noted:
            setattr(parser, name, None)
        if Path(at.data).exists():
            at.settle()
            for name in parser.noted:
                setattr(parser, name, getattr(at, name))


class MeasuredDataManager(SignalDataManager):
    """All measurements in every step, and pictures where a fit is judged.

    Attributes:
        WANTED: what is looked for.
        MADE: how what is learnt from came from that.
        HELD_OUT: what a fit is judged by.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: MeasuredDataManagerConfig
    dataparser: MeasuredDataParser
    WANTED: ClassVar[str] = "volume"
    MADE: ClassVar[str] = "measured"
    HELD_OUT: ClassVar[str] = "measurements"

    @property
    def wanted(self) -> str:
        """What is looked for, in a word."""
        return self.WANTED

    def measured_line(self) -> str:
        """What is said of the measurements before training: how many, and how many are held out."""
        raise NotImplementedError

    def setup_train(self) -> None:
        """As the base class; and say what is measured."""
        super().setup_train()
        if self.test_mode == "val":
            CONSOLE.print(self.measured_line(), highlight=False, markup=False)

    def create_eval_dataset(self) -> MeasuredImages:
        """The pictures, with all that a run is judged by where that is what it was opened for."""
        dataset = cast(MeasuredImages, super().create_eval_dataset())
        if isinstance(dataset, ComparedImages):
            dataset.judges = self.test_mode == "test"
        return dataset

    @property
    def dataset_type(self) -> type[MeasuredImages]:
        """Of both splits."""
        return MeasuredImages

    def _pixels(self, step: int) -> tuple[SignalPixels, dict[str, Any]]:
        return SignalPixels(None, self._operator), {"measured": self._learnt}

    @cached_property
    def _operator(self) -> Operator | None:
        """What measures a fit; None where the model has it."""
        return None

    @cached_property
    def _learnt(self) -> Tensor:
        found: Tensor = self.dataparser.measured.learnt.to(self.device)
        return found

    def measurement_scores(self, model: Any) -> dict[str, float]:
        """Scores of a fit by measurements that were held out, and those of other answers; see the models."""
        parser = self.dataparser
        found: dict[str, float] = model.measurement_scores(parser.measured, parser.classical, parser.truth)
        return found

    def evaluated(self, number: int, count: int) -> str:
        """What metrics are of."""
        if not self.dataparser.has_truth:
            return f"{self.HELD_OUT} that were held out, the {self.wanted} itself not being known"
        some = "" if count == 1 else f"{super().evaluated(number, count)} of "
        return f"{some}the {self.wanted}, which was not learnt from but {self.MADE}"

    def get_train_rays_per_batch(self) -> int:
        """Pixels or voxels, all of which a step evaluates."""
        return len(self.image.flat)

    def get_eval_rays_per_batch(self) -> int:
        """Pixels or voxels."""
        return len(self.image.flat)
