"""A run's config.yml: hostile tags, damage, other types and other names; nothing that it says may be run."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path

from campaign import damage
from campaign.case import Case
from campaign.rules import Refused, hold, read, refused, untouched

from inr_plugins.cli import check
from inr_plugins.engine.runs.config import read_run_config

TRAINER = "!!python/object:nerfstudio.engine.trainer.TrainerConfig"
# PATH stands for a file that would be there if it were run.
HOSTILE = [
    "!!python/object/apply:os.system ['touch PATH']",
    "!!python/object/apply:posix.system ['touch PATH']",
    "!!python/object/apply:subprocess.check_call [[touch, PATH]]",
    "!!python/object/apply:subprocess.Popen [[touch, PATH]]",
    "!!python/object/new:os.system ['touch PATH']",
    "!!python/object/new:subprocess.Popen [[touch, PATH]]",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.PosixPath [PATH]]",
    "!!python/object/apply:builtins.open [PATH, w]",
    '!!python/object/apply:builtins.eval [\'open("PATH", "w")\']',
    '!!python/object/apply:builtins.exec [\'open("PATH", "w")\']',
    "!!python/object/apply:builtins.map [!!python/name:os.mkdir '', [PATH]]",
    "!!python/object/apply:shutil.copy [/etc/hostname, PATH]",
    "!!python/object/apply:os.mkdir [PATH]",
    "!!python/object/apply:_operator.getitem [!!python/object/apply:os.mkdir [PATH], 0]",
    "!!python/object/apply:_operator.methodcaller [touch]",
    "!!python/object/apply:functools.partial [!!python/name:os.mkdir '', PATH]",
    "!!python/object/apply:nerfstudio.utils.scripts.run_command ['touch PATH']",
    "!!python/object/apply:inr_plugins.files.write_text [!!python/object/apply:pathlib.PosixPath [PATH], x]",
    "!!python/object/apply:inr_plugins.geometry.mesh.Mesh [PATH, PATH]",
    "!!python/object:subprocess.Popen {args: [touch, PATH]}",
    "!!python/object:nerfstudio.engine.trainer.Trainer {}",
    "!!python/object/apply:builtins.getattr [!!python/name:os, system]",
    "!!python/object/apply:builtins.getattr [!!python/name:nerfstudio.utils.writer.EventName, __init_subclass__]",
    "!!python/object/apply:importlib.import_module [antigravity]",
    "!!python/module:antigravity",
    "!!python/module:os",
    "!!python/name:os.system",
    "!!python/name:nerfstudio.utils.scripts.run_command",
    "!!python/object/apply:pathlib.PosixPath {args: [a], state: !!python/object/apply:os.mkdir [PATH]}",
    "!!python/object/apply:torch.load [PATH]",
    "!!python/object/apply:yaml.load [x]",
    "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [PATH]",
]


@cache
def _valid() -> dict[str, bytes]:
    import yaml

    points = [p for p in entry_points(group="nerfstudio.method_configs") if p.value.startswith("inr_plugins.")]
    return {point.name: yaml.dump(point.load().config).encode() for point in points}


def _hostile(hostile: str, form: str, place: Path, rng: random.Random) -> None:
    path = place / "config.yml"
    path.write_text(form.replace("HERE", hostile.replace("PATH", str(place / "ran"))), encoding="utf-8")
    with untouched(place):
        answer = read(partial(read_run_config, path))
        words = [finding.word for finding in check.check(place)]
    hold(not (place / "ran").exists(), f"{hostile} was run", "run")
    hold(isinstance(answer, Refused), f"{hostile} was taken")
    hold("refused" in words, "inr-check calls it safe")


def _damaged(method: str, way: str, place: Path, rng: random.Random) -> None:
    from nerfstudio.engine.trainer import TrainerConfig

    path, content = place / "config.yml", _valid()[method]
    for _ in range(6):
        path.write_bytes(damage.WAYS[way](content, rng))
        with untouched(place):
            answer = read(partial(read_run_config, path))
        hold(isinstance(answer, Refused | TrainerConfig), f"read as {type(answer).__name__}")


def _whole(method: str, place: Path, rng: random.Random) -> None:
    import yaml

    path = place / "config.yml"
    path.write_bytes(_valid()[method])
    # Made by the campaign itself a moment ago, so that PyYAML's own loader may read it.
    hold(read_run_config(path) == yaml.load(_valid()[method], Loader=yaml.Loader), "another configuration")


def _odd(text: str, place: Path, rng: random.Random) -> None:
    path = place / "config.yml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    with untouched(place):
        refused(partial(read_run_config, path), "config.yml")


def _special(make: Callable[[Path], None], place: Path, rng: random.Random) -> None:
    make(place / "config.yml")
    with untouched(place):
        refused(partial(read_run_config, place / "config.yml"), "config.yml")


_FORMS = {
    "alone": "HERE",
    "field": f"{TRAINER}\nmax_num_iterations: HERE",
    "target": f"{TRAINER}\n_target: HERE",
    "list": f"{TRAINER}\ndata: [1, HERE]",
    "anchor": f"{TRAINER}\ndata: &a HERE\noutput_dir: *a",
}
_ODD = {
    "empty": "", "null": "null", "number": "12", "list": "[1, 2]", "mapping": "{a: 1}", "text": "hello",
    "two-documents": f"{TRAINER} {{}}\n---\n{TRAINER} {{}}", "tab": f"{TRAINER}\n\tmethod_name: x",
    "open-bracket": f"{TRAINER} {{method_name: [", "undefined-alias": f"{TRAINER}\ndata: *nowhere",
    "nul": f"{TRAINER}\nmethod_name: \0", "deep": "[" * 20000 + "]" * 20000, "deep-mapping": "{a: " * 5000 + "}" * 5000,
    "unknown-class": "!!python/object:nerfstudio.engine.trainer.NoSuchConfig {}",
    "unknown-module": "!!python/object:nerfstudio.no_such_module.Config {}",
    "class-of-nobody": "!!python/object:no_such_package.Config {}",
    "no-class": "!!python/object: {}", "relative": "!!python/object:.trainer.TrainerConfig {}",
    "dots": "!!python/object:nerfstudio..TrainerConfig {}",
    "function": "!!python/object:nerfstudio.scripts.train.main {}",
    "key-is-a-list": f"{TRAINER}\n? [1, 2]\n: 3", "key-is-a-mapping": f"{TRAINER}\n? {{a: 1}}\n: 3",
    "key-is-a-number": f"{TRAINER}\n3: 4", "timestamp": "2001-13-45", "bad-escape": f'{TRAINER}\nmethod_name: "\\q"',
    "enum-unknown": f"{TRAINER}\nlogging: !!python/object/apply:nerfstudio.utils.writer.EventName [nothing]",
    "enum-many": f"{TRAINER}\nlogging: !!python/object/apply:nerfstudio.utils.writer.EventName [1, 2]",
    "bad-int": f"{TRAINER}\nseed: !!int abc", "bad-float": f"{TRAINER}\nlr: !!float abc",
    "bad-bool": f"{TRAINER}\na: !!bool 7",
    "bad-date": f"{TRAINER}\na: !!timestamp abc",
    "date-out-of-range": f"{TRAINER}\na: 2001-99-99", "merge-no-mapping": f"{TRAINER}\n<<: 3",
    "tuple-of-mapping": f"{TRAINER}\na: !!python/tuple {{b: 1}}", "unhashable": f"{TRAINER}\na: {{[1]: 2}}",
    "set": f"{TRAINER}\na: !!set [1]", "omap": f"{TRAINER}\na: !!omap 3", "pairs": f"{TRAINER}\na: !!pairs 3",
    "huge-int": f"{TRAINER}\na: {'9' * 6000}", "sexagesimal": f"{TRAINER}\na: !!int '1:x'",
    "complex": f"{TRAINER}\na: !!python/complex abc", "bytes": f"{TRAINER}\na: !!python/bytes '@'",
    "path-of-numbers": f"{TRAINER}\na: !!python/object/apply:pathlib.PosixPath [1, 2]",
    "long-tag": f"!!python/object:{'a' * 20000} {{}}", "surrogate": f"{TRAINER}\na: \ud800",
}  # fmt: skip


def cases() -> list[Case]:
    """All of the group."""
    # Here, not once in the process of each case.
    _valid(), importlib.import_module("nerfstudio.configs.method_configs")
    made: dict[str, Callable[[Path, random.Random], None]] = {}
    for k, hostile in enumerate(HOSTILE):
        for form, around in _FORMS.items():
            made[f"hostile/{k:02d}-{form}"] = partial(_hostile, hostile, around)
    for method in ("diner", "finer-nerf", "cn-neus", "nid-shapes", "finer-sdf"):
        made |= {f"damaged/{method}/{way}": partial(_damaged, method, way) for way in damage.WAYS}
    for point in entry_points(group="nerfstudio.method_configs"):
        if point.value.startswith("inr_plugins."):
            made[f"whole/{point.name}"] = partial(_whole, point.name)
    made |= {f"odd/{name}": partial(_odd, text) for name, text in _ODD.items()}
    made |= {f"special/{name}": partial(_special, make) for name, make in damage.SPECIAL.items()}
    return [Case(f"run-configs/{name}", "run-configs", attack, 60) for name, attack in made.items()]
