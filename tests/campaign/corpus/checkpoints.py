"""Checkpoints that are cut, damaged, hostile, of something else or not there, read and gone on from.

What is broken is passed over for an older sound one, with a note; what is whole but does not fit is refused.
"""

from __future__ import annotations

import os
import pickle
import random
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from campaign import damage, small_runs
from campaign.case import Case
from campaign.corpus.checkpoint_contents import BROKEN, HARMLESS, MISFITS, NOT_TO_GO_ON_FROM, TOLD, State
from campaign.corpus.opened_runs import (
    READERS,
    Opened,
    expect_newest,
    expect_older,
    expect_refusal,
    expect_told,
    load_whole,
)
from campaign.rules import Refused, hold, read, untouched

from inr_plugins.engine.runs.checkpoints import checkpoint_path, checkpoint_steps
from inr_plugins.engine.runs.config import read_run_config


def _damaged(method: str, reader: str, way: str, place: Path, rng: random.Random) -> None:
    """Bytes of the file changed: it is broken, or the change is in what nobody reads."""
    opened = Opened(method, place, older=rng.random() < 0.5)
    content = opened.newest.read_bytes()
    for _ in range(_times(reader, 2)):
        changed = damage.WAYS[way](content, rng)
        opened.newest.write_bytes(changed)
        answer = opened.answer(reader)
        if changed == content or (not isinstance(answer, Refused) and answer[0] == opened.steps[0]):
            expect_newest(opened, answer)
        else:
            expect_older(opened, answer)


def _rewritten(method: str, reader: str, way: str, place: Path, rng: random.Random) -> None:
    """The pickle in the archive damaged, with sums that are right for it: anything but an exception and a hang."""
    opened = Opened(method, place, older=rng.random() < 0.5)
    records = _records(opened.newest)
    name = next(each for each in records if each.endswith("/data.pkl"))
    for _ in range(_times(reader, 3)):
        _write_records(opened.newest, {**records, name: damage.WAYS[way](records[name], rng)})
        opened.findings()
        opened.answer(reader)


def _times(reader: str, most: int) -> int:
    """How often a run can be opened in one process: nerfstudio keeps the writers of a training that was refused."""
    return most if reader == "read" else 1


def _records(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def _write_records(path: Path, records: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


class _Calls:
    """Unpickled, it calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.made


_CODE: dict[str, Callable[[Path], object]] = {
    "system": lambda marker: _Calls(os.system, f"touch {marker}"),
    "mkdir": lambda marker: _Calls(os.mkdir, str(marker)),
    "open": lambda marker: _Calls(open, str(marker), "w"),
    "eval": lambda marker: _Calls(eval, f"open({str(marker)!r}, 'w')"),
    "exec": lambda marker: _Calls(exec, f"open({str(marker)!r}, 'w')"),
    "getattr": lambda marker: _Calls(getattr, "os", "system"),
    "loads": lambda marker: _Calls(pickle.loads, pickle.dumps(_Calls(os.mkdir, str(marker)))),
    "torch-load": lambda marker: _Calls(torch.load, str(marker)),
    "ours": lambda marker: _Calls(checkpoint_path(marker, 3).with_name, str(marker)),
}


def _code(name: str, form: str, reader: str, place: Path, rng: random.Random) -> None:
    """A pickle that calls something: nothing is called, and it counts as broken."""
    opened = Opened("finer-sdf", place, older=rng.random() < 0.5)
    marker = place / "ran"
    harm, state = _CODE[name](marker), opened.states[opened.steps[0]]
    holder = {
        "weights": {**state, "pipeline": harm},
        "weight": {**state, "pipeline": {**state["pipeline"], "x": harm}},
        "resume": {**state, "resume": harm},
        "alone": harm,
        "pickle": {**state, "pipeline": harm},
    }[form]
    if form == "pickle":
        opened.newest.write_bytes(pickle.dumps(holder))
    else:
        torch.save(holder, opened.newest)
    with untouched(place):
        hold(opened.findings() == "refused", "inr-check calls it safe")
    answer = opened.answer(reader)
    hold(not marker.exists(), f"{name} was run", "run")
    expect_older(opened, answer)


def _content(
    method: str,
    change: Callable[[State, random.Random], object],
    reader: str,
    expect: Callable[[Opened, Any], None],
    place: Path,
    rng: random.Random,
) -> None:
    """Something else in a whole file."""
    opened = Opened(method, place, older=rng.random() < 0.5)
    torch.save(change(load_whole(opened.newest), rng), opened.newest)
    expect(opened, opened.answer(reader))


def _other_method(method: str, other: str, reader: str, place: Path, rng: random.Random) -> None:
    """The newest checkpoint is another method's."""
    opened = Opened(method, place, older=rng.random() < 0.5)
    source = small_runs.trained(other, place) / "nerfstudio_models"
    state = load_whole(checkpoint_path(source, checkpoint_steps(source)[0]))
    torch.save({**state, "step": opened.steps[0]}, opened.newest)
    expect_refusal(opened, opened.answer(reader), words=("fit", "lacks", "settings", "dictionary"))


_SETTINGS: dict[str, tuple[str, str, object]] = {
    "omega": ("finer-nerf", "model.omega", 7.0),
    "sine": ("finer-sdf", "model.activation", "sine"),
    "shape-omega": ("finer-sdf", "model.omega", 12.0),
    "softplus": ("cn-mipnerf", "model.activation", "softplus"),
    "batch": ("cn-mipnerf", "model.normalization", "batch"),
    "network": ("diner", "model.network.activation", "softplus"),
    "relu": ("cn-neus", "model.activation", "relu"),
    "box": ("cn-neus", "model.box_scale", 1.5),
    "unbounded": ("diner", "model.unbounded", "no"),
    "dictionary": ("nid-shapes", "model.omega", 11.0),
}
"""Another function in weights of the same shapes: the method, the option, and its other value."""


def _other_settings(method: str, name: str, value: object, reader: str, place: Path, rng: random.Random) -> None:
    """The run's configuration, or the command that goes on from it, has another setting than the checkpoint."""
    opened = Opened(method, place, older=rng.random() < 0.5)
    typed = "--pipeline." + name.replace("_", "-")
    if reader == "read":
        path = opened.folder / "config.yml"
        path.write_text(yaml.dump(small_runs.put(read_run_config(path), {name: value})), encoding="utf-8")
        expect_refusal(opened, opened.answer(reader), words=(typed,))
        return
    config = small_runs.configured(method, place, load_dir=opened.models, max_num_iterations=1)
    small_runs.put(config, {name: value})
    answer = read(partial(small_runs.begin, config))
    hold(isinstance(answer, Refused) and typed in answer.sentence, f"not refused by {typed}: {answer}")


def _special(make: Callable[[Path], None], method: str, reader: str, older: bool, place: Path, rng: object) -> None:
    """Something that is no file where the newest checkpoint should be."""
    opened = Opened(method, place, older=older)
    opened.newest.unlink()
    make(opened.newest)
    if not os.path.lexists(opened.newest):
        opened.said = opened.newest.name  # nothing to say of what was never there
        answer = opened.answer(reader)
        opened.said += opened.newest.name
        expect_older(opened, answer)
        return
    expect_older(opened, opened.answer(reader))


def _beside(make: Callable[[Path], None], name: str, reader: str, place: Path, rng: random.Random) -> None:
    """Something else in the folder of checkpoints."""
    opened = Opened("finer-sdf", place, older=True)
    make(opened.models / name)
    expect_newest(opened, opened.answer(reader))


def _folder(make: Callable[[Path], None], reader: str, place: Path, rng: random.Random) -> None:
    """Something that is no folder where the folder of checkpoints should be."""
    opened = Opened("finer-sdf", place, older=True)
    opened.models.rename(place / "away")
    make(opened.models)
    hold(isinstance(opened.answer(reader), Refused), "taken without checkpoints")


def _archive(change: Callable[[Path], None], reader: str, place: Path, rng: random.Random) -> None:
    """Archives that torch does not write."""
    opened = Opened("finer-sdf", place, older=rng.random() < 0.5)
    change(opened.newest)
    hold(opened.findings() == "refused", "inr-check calls it sound")
    expect_older(opened, opened.answer(reader))


def _encrypt(path: Path) -> None:
    """Set the bit of encryption in all headers."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 4)
    path.write_bytes(content)


def _bomb(path: Path) -> None:
    """Zeros, of which 3 GB take 3 MB."""
    records = _records(path)
    zeros = bytes(1 << 24)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
        with archive.open("archive/data/999", "w", force_zip64=True) as file:
            for _ in range(192):
                file.write(zeros)


_ARCHIVES: dict[str, Callable[[Path], None]] = {
    "encrypted": _encrypt,
    "compressed": lambda path: _write_records(path, _records(path), zipfile.ZIP_DEFLATED),
    "bomb": _bomb,
    "no-pickle": lambda path: _write_records(path, {"archive/version": b"3\n"}),
    "empty": lambda path: _write_records(path, {}),
    "no-tensors": lambda path: _write_records(path, {k: v for k, v in _records(path).items() if "/data/" not in k}),
    "short-tensors": lambda path: _write_records(path, {k: v[: len(v) // 2] if "/data/" in k else v
                                                        for k, v in _records(path).items()}),
    "legacy": lambda path: torch.save(load_whole(path), path, _use_new_zipfile_serialization=False),
    "not-a-checkpoint": lambda path: _write_records(path, {"word/document.xml": b"<a/>"}),
    "text": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n") and None,
    "page": lambda path: path.write_text("<!DOCTYPE html><html>Not found</html>") and None,
}  # fmt: skip
_FORMS = ("weights", "weight", "resume", "alone", "pickle")
_NAMES = ("step-5.ckpt", "step-abc.ckpt", "step-000000009.ckpt.part", "notes.txt", ".step-000000009.ckpt.x.part",
          "step--00000001.ckpt", "STEP-000000009.CKPT")  # fmt: skip


def cases() -> list[Case]:
    """All of the group."""
    small_runs.presets()
    made = {name: attack for reader in READERS for name, attack in (_files(reader) | _contents(reader)).items()}
    return [Case(f"checkpoints/{name}", "checkpoints", attack, 60) for name, attack in made.items()]


Attacks = dict[str, Callable[[Path, random.Random], None]]


def _files(reader: str) -> Attacks:
    """What is done to files and folders, and hostile ones."""
    made: Attacks = {}
    families = small_runs.FAMILIES
    for number, method in enumerate(families):
        for way in damage.WAYS:
            made[f"damaged/{method}/{way}/{reader}"] = partial(_damaged, method, reader, way)
            if method in ("diner", "finer-sdf", "nid-fit"):
                made[f"rewritten/{method}/{way}/{reader}"] = partial(_rewritten, method, reader, way)
        other = families[(number + 2) % len(families)]
        made[f"other-method/{method}/{other}/{reader}"] = partial(_other_method, method, other, reader)
    for number, (name, make) in enumerate(damage.SPECIAL.items()):
        for older in (True, False):
            attack = partial(_special, make, families[number % len(families)], reader, older)
            made[f"special/{name}/{'older' if older else 'alone'}/{reader}"] = attack
        if name != "empty":
            made[f"folder/{name}/{reader}"] = partial(_folder, make, reader)
    for name in _CODE:
        for form in _FORMS if name == "system" else ("weight", "pickle"):
            made[f"code/{name}/{form}/{reader}"] = partial(_code, name, form, reader)
    made |= {f"archive/{name}/{reader}": partial(_archive, change, reader) for name, change in _ARCHIVES.items()}
    made |= {f"beside/{name}/{reader}": partial(_beside, Path.touch, name, reader) for name in _NAMES}
    made[f"beside/folder/{reader}"] = partial(_beside, Path.mkdir, "old", reader)
    return made


def _contents(reader: str) -> Attacks:
    """Changes of what is in a whole checkpoint, each of two kinds of models; other settings than its own."""
    changes: dict[str, tuple[Any, Callable[[Opened, Any], None]]] = {}
    changes |= {name: (change, expect_older) for name, change in BROKEN.items()}
    changes |= {name: (change, partial(expect_refusal, words=words)) for name, (change, words) in MISFITS.items()}
    changes |= {name: (change, expect_newest) for name, change in HARMLESS.items()}
    if reader == "read":
        changes |= {name: (change, expect_newest) for name, (change, _) in NOT_TO_GO_ON_FROM.items()}
        changes |= {name: (change, expect_newest) for name, (change, _) in TOLD.items()}
    else:
        for name, (change, words) in NOT_TO_GO_ON_FROM.items():
            changes[name] = change, partial(expect_refusal, words=words)
        changes |= {name: (change, partial(expect_told, word=word)) for name, (change, word) in TOLD.items()}
    found: Attacks = {
        f"settings/{name}/{reader}": partial(_other_settings, method, option, value, reader)
        for name, (method, option, value) in _SETTINGS.items()
    }
    for number, (name, (change, expect)) in enumerate(changes.items()):
        for method in (small_runs.FAMILIES[number % 7], small_runs.FAMILIES[(number + 3) % 7]):
            found[f"content/{name}/{method}/{reader}"] = partial(_content, method, change, reader, expect)
    return found
