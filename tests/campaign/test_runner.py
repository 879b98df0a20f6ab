"""The campaign notices what it is there to notice: each kind of fault, planted, is named as such."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import runner
from campaign.case import Case, Fault
from campaign.corpora import tenth
from campaign.record import Key, Record
from campaign.sandbox import Outcome
from campaign.table import counts
from long_form import long_form

Attack = Callable[[Path, random.Random], None]


def sleep(place: Path, rng: random.Random) -> None:
    time.sleep(100)


def spin(place: Path, rng: random.Random) -> None:
    while True:
        pass


def wait_for_a_child(place: Path, rng: random.Random) -> None:
    subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(100)"], check=True)


def raise_something(place: Path, rng: random.Random) -> None:
    raise IndexError("list index out of range")


def exit_early(place: Path, rng: random.Random) -> None:
    raise SystemExit(0)


def lose(place: Path, rng: random.Random) -> None:
    raise Fault("loss", "the checkpoint is gone")


def die(place: Path, rng: random.Random) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave_at_once(place: Path, rng: random.Random) -> None:
    os._exit(0)


def litter_here(place: Path, rng: random.Random) -> None:
    Path("result.ply.part").touch()


def litter_tmp(place: Path, rng: random.Random) -> None:
    tempfile.mkdtemp()


def litter_home(place: Path, rng: random.Random) -> None:
    (Path.home() / ".marker").touch()


def take_memory(place: Path, rng: random.Random) -> None:
    bytearray(4 << 30)


def hold(place: Path, rng: random.Random) -> None:
    (place / "scene").mkdir()
    (place / "scene" / "mesh.ply").touch()
    (place / "scene").chmod(0)


def run_one(attack: Attack, tmp_path: Path, *, limit: float = 60, silence: float = 60, processes: int = 0) -> Outcome:
    record = Record(tmp_path / "record.jsonl", Key(0, "x"))
    case = Case("a/b", "a", attack, limit, processes)
    runner.run([case], record, silence=silence, keep=tmp_path / "kept")
    assert counts([case], record.outcomes)["a"][0] == 1
    return record.outcomes["a/b"]


@pytest.mark.parametrize(
    ("attack", "kind", "said"),
    [
        (raise_something, "traceback", "IndexError at test_runner.py:.*: list index out of range"),
        (exit_early, "traceback", "SystemExit"),
        (lose, "loss", "the checkpoint is gone"),
        (die, "traceback", "ended by SIGSEGV"),
        (leave_at_once, "traceback", "ended with exit code 0"),
        (litter_here, "wrong", "left behind: here/result.ply.part"),
        (litter_tmp, "wrong", "left behind: tmp/"),
        (litter_home, "wrong", "left behind: home/.marker"),
        (take_memory, "traceback", "MemoryError"),
        (hold, "held", "^$"),
    ],
)
def test_what_an_attack_does_is_named(attack, kind, said, tmp_path):
    outcome = run_one(attack, tmp_path)
    assert outcome.kind == kind
    assert re.search(said, outcome.sentence)


@pytest.mark.parametrize(
    ("attack", "limit", "silence", "said"),
    [
        (spin, 0.5, 60, "not done after 0.5 s, in File .*test_runner.py"),
        (sleep, 60, 0.5, "0.5 s without output and without use of the processor, in File .*test_runner.py"),
        (wait_for_a_child, 60, 0.5, "0.5 s without output"),
    ],
)
def test_a_hang_is_ended_and_named(attack, limit, silence, said, tmp_path):
    outcome = run_one(attack, tmp_path, limit=limit, silence=silence)
    assert outcome.kind == "hang"
    assert re.search(said, outcome.sentence)
    assert outcome.seconds < 20


def test_nothing_of_a_hang_lives_on(tmp_path):
    marker = tmp_path / "child"

    def attack(place: Path, rng: random.Random) -> None:
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(100)"], preexec_fn=os.setpgrp)
        marker.write_text(str(child.pid))
        child.wait()

    assert run_one(attack, tmp_path, silence=0.5).kind == "hang"
    state = Path(f"/proc/{marker.read_text()}/stat")
    for _ in range(100):
        if state.exists() and ") Z " not in state.read_text():
            time.sleep(0.05)
    assert not state.exists() or ") Z " in state.read_text()


def test_a_campaign_goes_on_where_it_was_and_random_numbers_depend_on_seed_and_name_alone(tmp_path):
    drawn = tmp_path / "drawn.txt"

    def attack(place: Path, rng: random.Random) -> None:
        with drawn.open("a") as file:
            file.write(f"{rng.random()}\n")

    cases = [Case(f"a/{index}", "a", attack, 60) for index in range(3)]
    record = Record(tmp_path / "record.jsonl", Key(0, "x"))
    runner.run(cases[:2], record, jobs=1)
    with record.path.open("a") as file:
        file.write('{"name": "a/2", "se')  # What a kill leaves.
        file.write("\n")
    again = Record(record.path, Key(0, "x"))
    runner.run(cases, again, jobs=1)
    first = drawn.read_text().split()
    assert len(first) == len(set(first)) == 3
    runner.run(cases[::-1], Record(record.path, Key(0, "x"), fresh=True), jobs=1)
    runner.run(cases, Record(record.path, Key(1, "x")), jobs=1)
    runner.run(cases, Record(record.path, Key(0, "y")), jobs=1)
    numbers = drawn.read_text().split()
    assert numbers[3:6] == first[::-1]
    assert set(numbers[6:9]).isdisjoint(first)
    assert numbers[9:] == first


def nothing(place: Path, rng: random.Random) -> None:
    if sorted(path.name for path in place.iterdir()) or Path.home() != place.parent / "home":
        raise Fault("wrong", "not alone")
    print(f"I am {place.parent.name}.")


@long_form
def test_cases_that_share_a_process_do_not_share_its_end(tmp_path):
    said = {}

    def attack(place: Path, rng: random.Random) -> None:
        nothing(place, rng)
        raise Fault("wrong", str(os.getpid()))

    attacks = [attack, attack, die, attack, spin, litter_here, nothing, attack, attack, leave_at_once, attack]
    cases = [Case(f"a/{index}", "a", each, 1.5) for index, each in enumerate(attacks)]
    record = Record(tmp_path / "record.jsonl", Key(0, "x"))
    runner.run(cases, record, jobs=1, together=4, keep=tmp_path / "kept", report=lambda *each: said.update([each]))
    found = [record.outcomes[case.name] for case in cases]
    assert [each.kind for each in found] == (
        ["wrong", "wrong", "traceback", "wrong", "hang", "wrong", "held", "wrong", "wrong", "traceback", "wrong"]
    )
    assert "SIGSEGV" in found[2].sentence
    assert "test_runner.py" in found[4].sentence
    assert found[5].sentence == "files were left behind: here/result.ply.part"
    processes = [each.sentence for each in (found[0], found[1], found[3], found[7], found[8], found[10])]
    first, second, third, fourth, fifth, sixth = processes
    assert first == second != third != fourth == fifth != sixth
    assert list(said.values()) == found
    assert not (tmp_path / "kept" / "a__6").exists()
    assert (tmp_path / "kept" / "a__5" / "here" / "result.ply.part").exists()


def test_a_case_that_starts_processes_shares_none(tmp_path):
    def attack(place: Path, rng: random.Random) -> None:
        raise Fault("wrong", str(os.getpid()))

    cases = [Case(f"a/{index}", "a", attack, 60, processes=index == 1) for index in range(3)]
    record = Record(tmp_path / "record.jsonl", Key(0, "x"))
    runner.run(cases, record, jobs=1, together=3)
    assert len({outcome.sentence for outcome in record.outcomes.values()}) == 3


def test_tenths_part_the_cases_in_process_anew_for_each_seed():
    cases = [Case(f"a/{index}", "a", hold, 1, processes=index % 2) for index in range(600)]
    parts = [tenth(cases, 5, number) for number in range(10)]
    assert sorted(case.name for part in parts for case in part) == sorted(case.name for case in cases[::2])
    assert all(15 <= len(part) <= 45 for part in parts)
    assert tenth(cases, 6, 0) != parts[0]
