"""The panel of dictionaries: the code of the shape that is shown, to be changed, and which experts it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.models.nid.shown_code import (
    CodeEdit,
    Entry,
    half_of_length,
    largest_entries,
    shapes_of_experts,
    used_entries,
)
from inr_plugins.viewer import charts
from inr_plugins.viewer.background import Worker
from inr_plugins.viewer.panel import Panel

_SLIDERS = 8
_EVERY = 0.5
"""Seconds between two looks at what training has made of the code, at the least."""
_RANGE = 3.0
"""Of the sliders, in either direction: how many times the largest entry."""
_OUTGROWN = 1.5
"""An entry that has no slider gets one as soon as it is so many times one that has."""


@dataclass(frozen=True)
class _Slider:
    handle: Any
    most: float
    step: float

    def say(self, value: float) -> None:
        """Stand at a value, or as near to it as it can."""
        value = _rounded(value, self.most, self.step)
        if abs(self.handle.value - value) > self.step / 2:
            self.handle.value = value


class CodePanel(Panel):
    """Changes what is drawn and never what is trained: each copy of the model gets the user's code (`CodeEdit`).

    Entries that nobody has touched follow training.
    """

    title = "Shape code"

    noun: ClassVar[str] = "shape"
    """What codes are of."""

    def build(self) -> None:
        """See Panel."""
        model = self.model
        self.wish = CodeEdit(start=model.shown_shape)
        self._shown = model.shown_shape
        self._drawn: Any = None
        self._sliders: dict[Entry, _Slider] = {}
        self._sliders_of: Any = None
        self._worker = Worker(self.live, self._update, fail=self._tell, name=self.title, every=_EVERY)
        labels = _labels(model.code_names)
        self.start = self.gui.add_dropdown(
            "From", labels, labels[self.wish.start], hint=f"The {self.noun} whose code is drawn."
        )
        self.towards = self.gui.add_dropdown(
            "Towards", labels, hint=f"A second {self.noun}, to be blended with the first."
        )
        self.share = self.gui.add_slider(
            "Blend",
            0.0,
            1.0,
            0.01,
            0.0,
            hint=f"t of the code (1 - t) a + t b: 0 draws the first {self.noun}, 1 the second.",
        )
        self.reset = self.gui.add_button(
            "Back to the learnt code", hint="Forgets the blend, and what the sliders have changed."
        )
        self._folder = self.gui.add_folder("Largest entries")
        with self._folder:
            # A folder that was empty once stays shut in viser's page.
            self.gui.add_markdown("They change what is drawn, not what is trained.", order=-1.0)
        with self.gui.add_folder("Experts"):
            self.words = self.gui.add_markdown("", image_root=Path())
        self._when_clicked(self.start, self._choose)
        self._when_clicked(self.towards, self._blend)
        self._when_clicked(self.share, self._blend)
        self.reset.on_click(self.safely(lambda _: self._forget()))
        self.live.edits.append(self._edit)

    def close(self) -> None:
        """See Panel."""
        self._worker.close()

    def _tell(self, sentence: str) -> None:
        self.words.content = sentence

    def _when_clicked(self, control: Any, call: Callable[[], None]) -> None:
        """Call when somebody, and not this panel, has changed a control."""
        control.on_update(self.safely(lambda event: None if event.client is None else call()))

    # -- what is drawn -------------------------------------------------------------------------------------------------

    def _edit(self, model: Any) -> None:
        """Give a copy that is about to be drawn the user's code."""
        if model.shown_shape != self._shown:
            # Chosen elsewhere in the page: its entries are others.
            self._shown = model.shown_shape
            self.wish = replace(self.wish, start=model.shown_shape, entries={})
        wish = self.wish
        model.drawn_code = used_entries(wish.code(model)) if wish.changes(model.shown_shape) else None
        self._drawn = (wish, model)
        self._worker.ask()

    def _draw(self, wish: CodeEdit) -> None:
        self.wish = wish
        self.live.edit()

    # -- what is clicked -----------------------------------------------------------------------------------------------

    def _choose(self) -> None:
        number = self.start.options.index(self.start.value)
        self._draw(replace(self.wish, start=number, entries={}))
        choice = getattr(self.model, "shape_choice", None)
        if choice is not None:
            # The other dropdown is to say so too, and a mesh to be of this shape; that waits for the step that runs.
            choice.value = choice.options[number]

    def _blend(self) -> None:
        towards = self.towards.options.index(self.towards.value)
        self._draw(replace(self.wish, towards=towards, share=float(self.share.value)))

    def _turn(self, entry: Entry) -> None:
        slider = self._sliders.get(entry)
        if slider is not None:
            self._draw(replace(self.wish, entries={**self.wish.entries, entry: float(slider.handle.value)}))

    def _forget(self) -> None:
        self._draw(CodeEdit(self._shown, self.wish.towards))
        self.share.value = 0.0

    # -- what is said --------------------------------------------------------------------------------------------------

    def _update(self) -> None:
        """Have the controls say what is drawn; in the worker's thread, which reads copies that nothing changes."""
        wish, model = self._drawn
        labels = _labels(model.code_names)
        if tuple(self.start.options) != labels:
            # A checkpoint has brought its own dictionary.
            self.start.options = self.towards.options = labels
        if self.start.value != labels[wish.start]:
            self.start.value = labels[wish.start]
        code = wish.code(model)
        self._place_sliders(wish, code)
        for entry, slider in self._sliders.items():
            if entry not in self.wish.entries:
                slider.say(float(code[entry]))
        self.words.content = self.described(model, code)

    def described(self, model: Any, code: Tensor) -> str:
        """What is said of a code of a copy of the model, in markdown."""
        return describe(code, model.codes, noun=self.noun)

    def entry_name(self, number: int) -> str:
        """What the number of that place in a code is of."""
        return f"expert {number}"

    def _place_sliders(self, wish: CodeEdit, code: Tensor) -> None:
        """Have sliders for the largest entries, unless one is in use, or those that there are will do."""
        largest, shapes = largest_entries(code, _SLIDERS), (wish.start, wish.towards, wish.share)
        new = [abs(float(code[entry])) for entry in largest if entry not in self._sliders]
        if wish.entries or (not new and len(largest) == len(self._sliders)):
            return
        least = min((abs(float(code[entry])) for entry in self._sliders), default=0.0)
        if shapes == self._sliders_of and max(new, default=math.inf) <= _OUTGROWN * least:
            return
        for slider in self._sliders.values():
            slider.handle.remove()
        most, step = _range(code)
        # viser would write whole numbers at the ends.
        marks = tuple((end, f"{end:.3g}") for end in (-most, most))
        self._sliders, self._sliders_of = {}, shapes
        with self._folder:
            for order, (row, expert) in enumerate(largest):
                name = self.entry_name(expert)
                handle = self.gui.add_slider(
                    name.capitalize() if len(code) == 1 else f"Patch {row}, {name}",
                    *(-most, most, step, _rounded(float(code[row, expert]), most, step)),
                    marks=marks,
                    hint=f"What this counts in the {self.noun} that is drawn.",
                    order=float(order),
                )
                # At once: a page may have it, and somebody move it, before the next one is made.
                self._sliders[row, expert] = _Slider(handle, most, step)
                self._when_clicked(handle, partial(self._turn, (row, expert)))


def _labels(names: Sequence[str]) -> tuple[str, ...]:
    """By number too, so that equal names stay apart."""
    return tuple(f"{number}: {name}" for number, name in enumerate(names))


def _range(code: Tensor) -> tuple[float, float]:
    """How far sliders go to either side, a number of one digit, and in what steps."""
    wanted = _RANGE * float(code.abs().max())
    digit = 10.0 ** math.floor(math.log10(wanted))
    return math.ceil(wanted / digit) * digit, digit / 100


def _rounded(value: float, most: float, step: float) -> float:
    # Twice: the page shows all digits.
    return round(round(min(max(value, -most), most) / step) * step, 9)


def describe(
    code: Float[Tensor, "p n"],
    codes: Float[Tensor, "r n"],
    *,
    noun: str = "shape",
    whose: str = "the dictionary's",
) -> str:
    """Which experts a shape is made of and how much the dictionary uses each, as markdown with two small charts.

    Args:
        code: of the shape, a row for each patch.
        codes: of many shapes, by which the use of experts is counted; of a single one it is not.
        noun: what these are, in place of shapes.
        whose: those shapes are.
    """
    entries = code.flatten()
    used = entries[entries != 0]
    if len(used) == 0:
        return "There is no code yet."
    by_size = used[used.abs().argsort(descending=True)]
    of = f"{code.shape[1]:,} experts" + ("" if len(code) == 1 else f" in {len(code)} patches")
    largest = f"{float(used.abs().max()):.2g}"
    lines = [
        f"**{len(used):,} of {code.numel():,}** entries are not zero ({of}); the largest {half_of_length(code):,} hold "
        "half of the squared length.",
        _bars(by_size, "Entries of the code", "entries by size, orange below 0", largest),
    ]
    shapes = len(codes) // len(code)
    if shapes == 1:
        return "\n\n".join(lines)
    users = shapes_of_experts(codes, len(code)).sort(descending=True).values
    unused = int((users == 0).sum())
    lines += [
        f"Of {whose} {shapes:,} {noun}s, **{int(users[-1]):,} to {int(users[0]):,}** use an expert; "
        f"{unused:,} {'expert is' if unused == 1 else 'experts are'} used by none.",
        _bars(users, f"{noun.capitalize()}s of each expert", "experts by use", f"{int(users[0])}"),
    ]
    return "\n\n".join(lines)


def _bars(values: Tensor, says: str, across: str, highest: str) -> str:
    numbers = values.detach().cpu().to(torch.float64).numpy()
    return charts.as_markdown(charts.bars(numbers, across=across, highest=highest), says)
