"""With --quiet a command prints where its result is, and errors and warnings; nothing else."""

import sys

import pytest
from cli.sphere_runs import Fake, inr_mesh

from inr_plugins.cli import demo, scene
from inr_plugins.errors import InputError

TINY = ("--resolution", "16", "--num-train", "2", "--num-val", "1", "--num-test", "1", "--samples", "1", "--quiet")


class Talking(Fake):
    def __call__(self, path, *, device, data):
        print("Setting up the evaluation dataset ...")
        return super().__call__(path, device=device, data=data)


def test_a_mesh_is_one_path(run_folder, capsys):
    assert inr_mesh(Talking(), run_folder, "--resolution", 16, "--quiet") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{run_folder / 'mesh.ply'}\n"
    assert printed.err == ""


def test_what_libraries_say_is_no_result(run_folder, capsys):
    assert inr_mesh(Talking(), run_folder, "--resolution", 16) == 0
    printed = capsys.readouterr()
    assert "Setting up" not in printed.out
    assert "Setting up" in printed.err


def test_errors_are_said_all_the_same(run_folder, capsys):
    assert inr_mesh(Talking(), run_folder, "--resolution", 16, "--level", 7, "--quiet") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "No surface" in printed.err


def test_a_scene_is_its_folder_and_warnings(tmp_path, capsys):
    assert scene.main(["knot", str(tmp_path / "knot"), *TINY]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{tmp_path / 'knot'}\n", "")
    assert scene.main(["knot", str(tmp_path / "near"), *TINY, "--fov", "10"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'near'}\n"
    assert printed.err.startswith("inr-scene: The object is larger than the picture")


def test_steps_of_the_demo_are_silent_but_for_their_errors(capfd):
    talk = "import sys; print('progress'); print('a warning', file=sys.stderr); sys.exit(3)"
    with pytest.raises(InputError, match=r"The step 'Try' failed with status 3; run it again with .* -c 'import sys"):
        demo.run_step("Try", [sys.executable, "-c", talk], quiet=True)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "a warning\n")
