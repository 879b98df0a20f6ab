"""A dataset that takes the place of another: at every moment it is the old one, the new one, or about to be that."""

import json

import pytest

from inr_plugins.photos import work as module
from inr_plugins.photos.work import Work, opened, replacing_dataset


def write(folder, name, *, masks):
    """A dataset whose every file says its name."""
    for part in ("images", "masks") if masks else ("images",):
        (folder / part).mkdir(parents=True)
        (folder / part / "a.png").write_text(name)
    frame = {"file_path": "images/a.png", **({"mask_path": "masks/a.png"} if masks else {})}
    (folder / "transforms.json").write_text(json.dumps({"name": name, "frames": [frame]}))
    for file in ("report.json", "sparse_points.ply"):
        (folder / file).write_text(name)


def write_work(folder, name, *, film):
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("state.json", "outcome.json", "failed.json", *(["film.json"] if film else [])):
        (folder / file).write_text(json.dumps(name))
    (folder / "models" / name).mkdir(parents=True)


def names_in(output):
    """What each part of a dataset and of its work says its name is."""
    files = [each for each in output.rglob("*") if each.is_file() and each.name not in ("lock", "transforms.json")]
    said = {each.read_text().strip('"') for each in files if each.stat().st_size}
    models = {each.name for each in (output / "work" / "models").iterdir()}
    return said | models | {json.loads((output / "transforms.json").read_text())["name"]}


@pytest.mark.parametrize("old_has_masks", [False, True])
def test_it_is_whole_wherever_the_change_is_stopped(tmp_path, monkeypatch, old_has_masks):
    real, stopped_at = module.move, 0
    while True:
        output = tmp_path / str(stopped_at)
        write(output, "old", masks=old_has_masks)
        write_work(output / "work", "old", film=old_has_masks)
        anew = Work(output).begin({"photos": "new"}, overwrite=True)
        write_work(anew.folder, "new", film=not old_has_masks)
        moves = []

        def move(source, target, moves=moves, last=stopped_at):
            if len(moves) == last:
                raise KeyboardInterrupt
            moves.append(real(source, target))

        monkeypatch.setattr(module, "move", move)
        stopped = False
        try:
            with replacing_dataset(anew) as folder:
                write(folder, "new", masks=not old_has_masks)
                assert names_in(output) >= {"old"}
        except KeyboardInterrupt:
            stopped = True
            monkeypatch.setattr(module, "move", real)
            if stopped_at == 0:
                # The new one was not ready.
                assert json.loads((output / "transforms.json").read_text())["name"] == "old"
                assert (output / "images" / "a.png").read_text() == "old"
                stopped_at += 1
                continue
            # Half of two datasets is none.
            assert not (output / "transforms.json").exists()
            with opened(output):
                pass
        assert names_in(output) == {"new"}
        assert (output / "masks").exists() != old_has_masks
        assert {each.name for each in (output / "work").iterdir()} <= {
            *("lock", "state.json", "outcome.json", "failed.json", "film.json", "models"),
        }
        if not stopped:
            assert len(moves) == stopped_at > 7
            return
        stopped_at += 1


def test_what_fails_before_leaves_the_old_one(tmp_path):
    write(tmp_path, "old", masks=True)
    write_work(tmp_path / "work", "old", film=False)
    anew = Work(tmp_path).begin({"photos": "new"}, overwrite=True)

    def fail():
        with replacing_dataset(anew) as folder:
            write(folder, "new", masks=False)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    # The new one's work stays, to go on with.
    assert json.loads(anew.state.read_text()) == {"photos": "new"}
    anew.state.unlink()
    assert names_in(tmp_path) == {"old"}
    assert not (tmp_path / "work" / "new").exists()
