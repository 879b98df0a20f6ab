"""A dataset without a test split: for runs of nerfstudio's own methods its val split is opened in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.utils.rich_utils import CONSOLE

STANDS_IN = "stands_in"
"""Key, in the metadata of a dataparser's outputs, of the split that was read in place of the one asked for."""


def let_val_stand_in(config: DataParserConfig) -> None:
    """Have the parser that `config` makes read the val split where the test split is not there.

    nerfstudio's parsers raise where the files name other splits only, so that such a run could be trained and then not
    be opened again. Parsers that settle it themselves are not touched by it.
    """
    target = config._target

    def make(own: DataParserConfig, **options: Any) -> DataParser:
        parser = target(own, **options)
        original = parser.get_dataparser_outputs

        def outputs(split: str = "train", **more: Any) -> DataparserOutputs:
            try:
                return original(split=split, **more)
            except (RuntimeError, FileNotFoundError):
                if split != "test":
                    raise
                found = original(split="val", **more)
            CONSOLE.print(f"{own.data} has no test split: its val split is taken for it.")
            return replace(found, metadata={**found.metadata, STANDS_IN: "val"})

        parser.get_dataparser_outputs = outputs
        return parser

    config._target = make  # type: ignore[assignment]
