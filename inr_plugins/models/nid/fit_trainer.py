"""The trainer's configuration of nid-fit: the new shape comes at the size that its dictionary was learnt at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.errors import InputError
from inr_plugins.models.nid.dictionary import open_dictionary


@dataclass
class NidFitTrainerConfig(InrTrainerConfig):
    """Training settings of nid-fit."""

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
        parser.file_unit = learnt.file_unit
        if parser.up == "auto" and learnt.up is not None:
            parser.up = learnt.up
