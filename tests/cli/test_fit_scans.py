"""inr-fit: which scans are fitted, what the table says, and how it goes on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from inr_plugins.cli.fit_scans import COLUMNS, FitOptions, _of_report, main
from inr_plugins.errors import InputError


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("b", "a", "c"):
        (folder / f"{name}.ply").write_text("ply")
    return folder


class Fits:
    """In place of nid-fit: writes a mesh, or does what it was told of a scan."""

    def __init__(self, **wrong: BaseException) -> None:
        self.wrong, self.asked = wrong, list[str]()

    def __call__(self, options: FitOptions, name: str, path: Path) -> tuple[dict[str, str], Path]:
        assert path.is_file()
        self.asked.append(name)
        if name in self.wrong:
            raise self.wrong[name]
        mesh = options.output / f"{name}.{options.format}"
        mesh.parent.mkdir(parents=True, exist_ok=True)
        mesh.write_text(name)
        row = dict.fromkeys(COLUMNS, "1")
        del row["error"], row["scan"]
        return {**row, "mesh": mesh.name, "observed": "0.5", "notes": "normals estimated"}, mesh


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "scans.csv").open() as file:
        return list(csv.DictReader(file))


def test_all_scans_have_a_mesh_and_a_row(scans: Path, tmp_path: Path, capsys: Any) -> None:
    out, fits = tmp_path / "out", Fits()
    assert main(["run", str(scans), str(out)], fit=fits) == 0
    assert fits.asked == ["a", "b", "c"]
    assert [(row["scan"], row["mesh"], row["error"]) for row in rows(out)] == [
        (name, f"{name}.ply", "") for name in "abc"
    ]
    said = capsys.readouterr()
    assert "2 of 3" in said.out
    assert "50 % observed, normals estimated" in said.out
    assert said.err == ""


def test_one_that_fails_costs_the_others_nothing_and_is_tried_again(scans: Path, tmp_path: Path, capsys: Any) -> None:
    out, fits = tmp_path / "out", Fits(b=InputError("b.ply has 3 different points; a shape needs at least 10."))
    assert main(["run", str(scans), str(out)], fit=fits) == 1
    assert fits.asked == ["a", "b", "c"]
    assert [row["error"][:12] for row in rows(out)] == ["", "b.ply has 3 ", ""]
    assert "inr-fit: b: b.ply has 3 different points" in capsys.readouterr().err
    again = Fits()
    assert main(["run", str(scans), str(out)], fit=again) == 0
    assert again.asked == ["b"]
    assert " passed  2 of 3 scans" in capsys.readouterr().out
    assert [row["error"] for row in rows(out)] == ["", "", ""]
    (out / "c.ply").unlink()
    again = Fits()
    assert main(["run", str(scans), str(out), "--quiet"], fit=again) == 0
    assert again.asked == ["c"]
    assert capsys.readouterr().out == f"{out / 'c.ply'}\n"
    assert main(["run", str(scans), str(out), "--overwrite"], fit=again) == 0
    assert again.asked == ["c", "a", "b", "c"]


@pytest.mark.parametrize(("status", "word"), [(130, "stopped"), (143, "stopped")])
def test_stopped_it_says_what_is_there_and_goes_on(
    status: int, word: str, scans: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out"
    assert main(["run", str(scans), str(out)], fit=Fits(b=SystemExit(status))) == status
    err = capsys.readouterr().err
    assert f"inr-fit: {word}; 1 of 3 scans are fitted" in err
    assert err.count("\n") == 1
    again = Fits()
    assert main(["run", str(scans), str(out)], fit=again) == 0
    assert again.asked == ["b", "c"]
    assert len(rows(out)) == 3


def test_only_some_and_one_file(scans: Path, tmp_path: Path) -> None:
    fits = Fits()
    assert main(["run", str(scans), str(tmp_path / "out"), "--only", "a, c"], fit=fits) == 0
    assert fits.asked == ["a", "c"]
    fits = Fits()
    assert main(["run", str(scans / "b.ply"), str(tmp_path / "one"), "--format", "glb"], fit=fits) == 0
    assert [row["mesh"] for row in rows(tmp_path / "one")] == ["b.glb"]


def bad(scans: Path, tmp_path: Path, kind: str) -> tuple[list[str], str]:
    out = tmp_path / "out"
    if kind == "nothing there":
        return ["run", str(tmp_path / "none"), str(out)], "none does not exist: give a folder of point clouds"
    if kind == "no scans":
        (tmp_path / "empty").mkdir()
        return ["run", str(tmp_path / "empty"), str(out)], "holds no mesh or point cloud"
    if kind == "pattern":
        return ["run", str(scans), str(out), "--only", "z*"], "fits the pattern 'z*'"
    if kind == "only of a file":
        return ["run", str(scans / "a.ply"), str(out), "--only", "a"], "--only is for a folder"
    if kind == "number":
        return ["run", str(scans), str(out), "--resolution", "1"], "--resolution must be"
    out.mkdir()
    if kind == "somebody's mesh":
        (out / "b.ply").write_text("mine")
        return ["run", str(scans), str(out)], "b.ply exists, and scans.csv beside it says nothing of it"
    if kind == "somebody's table":
        (out / "scans.csv").write_text("name,size\nmine,3\n")
        return ["run", str(scans), str(out)], "is no table of inr-fit"
    return ["nowhere", str(scans), str(tmp_path / "new")], "no dictionary at"


@pytest.mark.parametrize(
    "kind",
    [
        *("nothing there", "no scans", "pattern", "only of a file", "number"),
        *("somebody's mesh", "somebody's table", "no dictionary"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_scan(kind: str, scans: Path, tmp_path: Path, capsys: Any) -> None:
    arguments, words = bad(scans, tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    # Without a dictionary the real fit refuses.
    fits = None if kind == "no dictionary" else Fits()
    assert main(arguments, fit=fits) == 1
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert fits is None or fits.asked == []


@pytest.mark.parametrize(("smoothness", "missed"), [(None, "0.004"), (0.1, "0.001")])
def test_a_correction_that_was_not_taken_is_none_of_the_surface(smoothness: float | None, missed: str) -> None:
    detail = {"smoothness": smoothness, "missed_in_file_units": 0.004}
    detail["left_in_file_units"] = 0.005 if smoothness is None else 0.001
    report = {"detail": detail, "alike": {"a": 0.5}, "surface_residual_in_file_units": 0.006, "outside": 0.2}
    found = _of_report(report)
    assert (found["missed"], found["missed_by_code"], found["alike"]) == (missed, "0.004", "a 0.500")
