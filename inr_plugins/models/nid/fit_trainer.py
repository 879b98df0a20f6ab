"""The trainer of nid-fit: a new shape comes at the size that its dictionary was learnt at, and may leave as a mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.engine.runs.run import Run
from inr_plugins.engine.trainer import InrTrainer, InrTrainerConfig
from inr_plugins.errors import InputError
from inr_plugins.models.nid.dictionary import open_dictionary

_SMALLEST, _LARGEST = 0.3, 1.95
"""Longest side, in the box of side 2, of what may be a shape like those of a dictionary, or a good part of one."""


@dataclass
class NidFitTrainerConfig(InrTrainerConfig):
    """Training settings of nid-fit."""

    _target: type = field(default_factory=lambda: NidFitTrainer)
    """Class to instantiate."""
    mesh: Path | None = None
    """Also write the fitted surface, when training has come to its end: a .ply, .obj, .glb or .stl in the frame and
    units of the shape's file. inr-mesh makes the same of the run, and has more options."""
    mesh_resolution: int = 256
    """Samples of that mesh along the longest side of its box."""

    def check_options(self) -> None:
        """As the base class; and a mesh that could not be written at the end."""
        super().check_options()
        if self.mesh is not None:
            from inr_plugins.meshing.trained import check_mesh_file

            check_mesh_file(self.mesh, option="--mesh")

    def set_timestamp(self) -> None:
        """Settle the dictionary's scale of files, then the run's folder, which a run without a dictionary does not get.

        A run folder is opened by reading its data first; so that this needs neither the dictionary nor the checkpoint,
        the scale has to stand in the configuration before it is written.

        Raises:
            InputError: there is no dictionary where the configuration says, or what the base class raises.
        """
        self.settle_scale()
        super().set_timestamp()

    def settle_scale(self) -> None:
        """Set the dataparser's scale and up axis, where they are not given, to those that the dictionary was learnt at.

        Raises:
            InputError: there is no dictionary where the configuration says.
        """
        manager: Any = self.pipeline.datamanager
        model: Any = self.pipeline.model
        parser = manager.dataparser
        if model.dictionary is not None:
            model.dictionary = Path(model.dictionary).absolute()
        source = self.load_checkpoint or self.load_dir or model.dictionary
        if source is None:
            raise InputError(
                "nid-fit needs a dictionary: give --pipeline.model.dictionary the folder of a run of nid-shapes."
            )
        if parser.file_unit is not None:
            return
        learnt = open_dictionary(source).frame
        if learnt.file_unit is not None and (model.pose == "given" or _fits(Path(manager.data), learnt.file_unit)):
            parser.file_unit = learnt.file_unit
        if parser.up == "auto" and learnt.up is not None:
            parser.up = learnt.up


def _fits(path: Path, unit: float) -> bool:
    """Whether a file, whose longest side comes to so many normalised units, may be in the unit of a dictionary's files.

    What cannot be read is told of later.
    """
    from inr_plugins.meshing.file_size import longest_side

    side = longest_side(path)
    return side is None or _SMALLEST <= side * unit <= _LARGEST


class NidFitTrainer(InrTrainer):
    """The trainer of nid-fit, which writes the mesh that was asked for."""

    config: NidFitTrainerConfig

    def use_trained(self) -> None:
        """Write the mesh, if one is wanted.

        Raises:
            InputError: the fit has no surface, or the file cannot be written.
        """
        path = self.config.mesh
        if path is None:
            return
        from inr_plugins.meshing.settings import MeshSettings
        from inr_plugins.meshing.trained import write_trained

        pipeline, source = self.pipeline, cast(Any, self.pipeline.datamanager)
        pipeline.eval()
        outputs = source.train_dataparser_outputs
        run = Run(self._asked_config, self.base_dir / "config.yml", pipeline, self.step, outputs)
        told = write_trained(run, path, MeshSettings(resolution=self.config.mesh_resolution))
        pipeline.train()
        CONSOLE.print(
            f"Mesh: {path}, {told['faces']:,} faces, in {told['units']}.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
