"""Places where files cannot be written are refused beforehand, and others are left as they were."""

import errno

import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.output_place import check_place


def test_a_place_below_folders_that_do_not_exist_is_fine_and_nothing_is_made(tmp_path):
    check_place(tmp_path / "new" / "newer" / "mesh.ply")
    check_place(tmp_path / "mesh.ply")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "notes").write_text("x")
    with pytest.raises(InputError, match=r"notes/deeper/mesh.ply .* since .*notes is a file"):
        check_place(tmp_path / "notes" / "deeper" / "mesh.ply")


def test_names_that_no_file_can_have_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, why in [(tmp_path / ("m" * 300), "too long"), (tmp_path / "loop" / "mesh.ply", "symbolic links")]:
        with pytest.raises(InputError, match=rf"could not be written \(.*{why}"):
            check_place(path)


def test_a_folder_that_takes_no_files_is_named_with_the_systems_reason(tmp_path, monkeypatch):
    def refuse(*, dir, buffering):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("inr_plugins.files.tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"new/mesh.ply could not be written in .* \(Permission denied\)"):
        check_place(tmp_path / "new" / "mesh.ply")
