"""What a surface method takes its pictures for, told when training begins: nobody can see it in the pictures' files."""

from __future__ import annotations

from typing import Literal

from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.options import model_option

Capture = Literal["object", "table", "room"]

_TAKEN = {
    "object": "an object that masks or alpha cut out of them; {option} table asks for none, and learns what is around "
    "it too.",
    "table": "an object, looked at from outside, with what is around it; a room from inside is for cn-neus-room, an "
    "object with masks or alpha for {option} object.",
    "room": "a room seen from inside; an object, looked at from outside, is for cn-neus-table, one with masks or alpha "
    "for cn-neus.",
}


def say_capture(capture: Capture) -> None:
    """Say what the pictures are taken for, and how to say otherwise; of several processes the first one does."""
    if comms.is_main_process():
        told = _TAKEN[capture].format(option=model_option("capture"))
        CONSOLE.print(f"The pictures are taken for {told}", soft_wrap=True, highlight=False)
