"""nerfstudio's pipeline with a clear word on missing data, and metrics that are always valid JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig

from inr_plugins.engine.host.denormals import flush_denormals
from inr_plugins.engine.host.memory import tune_allocator
from inr_plugins.engine.host.threads import yield_to_neighbours
from inr_plugins.engine.runs.loading import check_kinds, load_weights
from inr_plugins.engine.stock_images import check_sampled_images, naming_bad_images
from inr_plugins.errors import InputError

DATA_VARIABLE = "INR_DATA"
"""Environment variable that says where the data of a saved run is now."""


@runtime_checkable
class OpensWithoutData(Protocol):
    """A datamanager's configuration that may know enough of the data for a run to be looked at."""

    def opens_without_data(self) -> bool:
        """Whether it does."""


@dataclass
class InrPipelineConfig(VanillaPipelineConfig):
    """Pipeline settings shared by all methods of this package."""

    _target: type = field(default_factory=lambda: InrPipeline)
    """Class to instantiate."""

    def setup(self, **kwargs: Any) -> Any:
        """Make the pipeline.

        Raises:
            InputError: its data is not where it should be, or one of nerfstudio's own datamanagers has an image that
                does not decode; where they are read a few at a time, all are decoded before a training.
        """
        settle_data_path(self, needed=kwargs.get("test_mode", "val") == "val")
        if torch.device(kwargs.get("device", "cpu")).type == "cpu":
            tune_allocator()
            flush_denormals()
            yield_to_neighbours()
        if not type(self.datamanager).__module__.startswith("nerfstudio."):
            return super().setup(**kwargs)
        with naming_bad_images(data_path(self)):
            pipeline = super().setup(**kwargs)
        if kwargs.get("test_mode", "val") == "val":
            check_sampled_images(pipeline.datamanager)
        return pipeline


def data_path(config: VanillaPipelineConfig) -> Path | None:
    """The data file or folder that `config` names, or None; the datamanager's own goes before its dataparser's."""
    own = config.datamanager.data
    return own if own is not None else getattr(getattr(config.datamanager, "dataparser", None), "data", None)


def settle_data_path(config: VanillaPipelineConfig, *, data: Path | None = None, needed: bool = True) -> None:
    """Point `config` at `data`, or else at what the environment variable INR_DATA names, and see that it is there.

    Args:
        config: whose data it is; changed in place.
        data: where it is now; None: where it was.
        needed: also where a run can be looked at without its data (`OpensWithoutData`).

    Raises:
        InputError: nothing is at the path, new or old.
    """
    from_environment = os.environ.get(DATA_VARIABLE)
    if data is None and from_environment:
        data = Path(from_environment)
    if data is not None:
        config.datamanager.data = data
    elif not needed and isinstance(config.datamanager, OpensWithoutData) and config.datamanager.opens_without_data():
        return
    path = data_path(config)
    if path is not None and not Path(path).exists():
        raise InputError(
            f"There is no data at {path}: give ns-train the right --data; for a saved run whose data has moved, set "
            f"the environment variable {DATA_VARIABLE} to where it is now."
        )


class InrPipeline(VanillaPipeline):
    """nerfstudio's pipeline, in one process or in each of several.

    Those have no wrapper around the model: see inr_plugins.ranks.
    """

    config: InrPipelineConfig

    def __init__(self, config: InrPipelineConfig, device: str, *, world_size: int = 1, **kwargs: Any) -> None:
        """As nerfstudio's."""
        super().__init__(config, device, **kwargs)
        self.world_size = world_size

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Load the weights of a checkpoint, all of them: nerfstudio goes on with random ones where some are missing.

        Raises:
            InputError: some are missing, unknown or of other sizes.
        """
        self.model.update_to_step(step)
        load_weights(lambda state: self.load_state_dict(state, strict=True), loaded_state, step=step)
        check_kinds(loaded_state, self.state_dict(), step=step)

    def get_average_image_metrics(self, data_loader: Iterable[Any], *args: Any, **kwargs: Any) -> dict[str, float]:
        """Average the metrics over all views of `data_loader`.

        A spread (`..._std`) that does not exist, because there is one view only, is left out: NaN is not valid JSON.
        """
        metrics = super().get_average_image_metrics(data_loader, *args, **kwargs)
        return {name: value for name, value in metrics.items() if not (name.endswith("_std") and math.isnan(value))}
