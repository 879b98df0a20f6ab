"""The panel "Training": what it draws is what was, a checkpoint is written once at a time, and it says where."""

from __future__ import annotations

import base64
import re
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import viser
from page_client import PageClient
from viewer.fake_viewer import Ball, FakePage, FakeViewer
from viewer.served import eventually

from inr_plugins.errors import InputError
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panels import general_panels
from inr_plugins.viewer.panels import training as module
from inr_plugins.viewer.panels.history import History, averaged, curves, drawn, speed
from inr_plugins.viewer.panels.training import TrainingPanel, memory_of, plots_of

SVG = "{http://www.w3.org/2000/svg}"


def test_history_keeps_few_moments_spread_over_all_of_the_time():
    history = History(most=100, soonest=0.1)
    for step in range(5000):
        history.note(step, {"loss": torch.tensor(float(step), requires_grad=True) * 2}, at=50 + 0.02 * step)
    moments = history.moments()
    times = np.array([each.at for each in moments])
    assert 50 <= len(moments) <= 100
    assert times[0] == 0
    assert times[-1] > 95
    assert np.diff(times).max() < 2.1 * np.diff(times).min() + 0.03
    assert [each.values["loss"] for each in moments] == [2.0 * each.step for each in moments]
    assert all(steps == pytest.approx(50) for _, steps in speed(moments))


def test_a_note_holds_no_graph_and_what_is_no_number_is_left_out():
    history = History(soonest=0)
    loss = (torch.ones(3, requires_grad=True) * 2).sum()
    history.note(
        0, {"loss": loss, "word": "flat", "picture": torch.zeros(2, 2), "nan": torch.tensor(float("nan"))}, at=0
    )
    assert history._moments[0].values["loss"].grad_fn is None
    assert history.moments()[0].values == {"loss": 6.0}
    assert dict(curves(history.moments())) == {"loss": [(0.0, 6.0)]}


def test_a_note_reads_no_number_for_which_the_training_thread_would_wait_for_a_device(monkeypatch):
    history = History(soonest=0)
    values = {name: torch.tensor(1.5, requires_grad=True) * 2 for name in "abcde"}
    with monkeypatch.context() as patch:
        for name in ("item", "tolist", "numpy", "cpu", "__float__", "__bool__", "__int__", "__array__"):
            patch.setattr(torch.Tensor, name, lambda *_, **__: pytest.fail("a tensor was read"))
        for step in range(1000):
            history.note(step, values, at=float(step))
    assert history.moments()[-1].values == dict.fromkeys("abcde", 3.0)


def polylines(svg: str) -> list[np.ndarray]:
    return [
        np.array([pair.split(",") for pair in line.get("points").split()], dtype=float)
        for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    ]


def test_a_logarithmic_drawing_makes_a_line_of_an_exponential():
    line = [(float(x), 10.0 ** (-x / 10)) for x in range(40)]
    (points,) = polylines(drawn("Losses", {"rgb": line}, log=True))
    x, y = points.T
    assert np.allclose(y, np.interp(x, x[[0, -1]], y[[0, -1]]), atol=0.11)
    assert y[0] < y[-1]  # downwards, as y counts in pictures
    assert x[-1] == 236


def test_names_are_escaped_and_nothing_is_drawn_of_nothing():
    texts = "".join(ElementTree.fromstring(drawn("a < b", {"<x>": [(0, 1)], "&": [(0, 2)]})).itertext())
    assert "a < b" in texts
    assert "<x>" in texts
    assert drawn("Losses", {"zero": [(0.0, 0.0)]}, log=True) == ""


def test_many_points_are_averaged_over_equal_spans():
    line = [(x / 100, float(x % 2)) for x in range(1000)]
    means = averaged(line, 10)
    assert len(means) == 10
    assert np.allclose([y for _, y in means], 0.5, atol=0.02)
    # In the middle of what they are the means of.
    assert np.allclose([x for x, _ in means], np.arange(10) + 0.5, atol=0.02)
    # A line and its means lie on each other, and few points stay as they are.
    assert np.allclose([x - y for x, y in averaged([(x, x) for x in np.linspace(0, 7, 500)], 9)], 0)
    assert averaged([(0.0, 1.0), (1.0, 3.0)], 2) == [(0.0, 1.0), (1.0, 3.0)]


def test_what_begins_later_is_drawn_from_then_on():
    history = History(soonest=0)
    for step in range(4):
        late = {"late_loss": 5.0 * step} if step > 1 else {}
        history.note(step, {"loss": 1.0, **late}, at=10.0 + step)
    assert curves(history.moments())["late_loss"] == [(2.0, 10.0), (3.0, 15.0)]
    # Two steps of one moment have no speed.
    history.note(9, {}, at=13.0)
    assert len(speed(history.moments())) == 3


def texts_of(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(("seconds", "clock"), [(59.6, "1:00"), (3599, "59:59"), (2 * 3600 + 3 * 60 + 4, "2:03:04")])
def test_a_drawing_says_from_what_to_what_until_when_and_of_what(seconds, clock):
    svg = drawn("Speed", {"fast_loss": [(0.0, 3.0), (seconds, 8.0)], "slow": [(0.0, 2.0)]})
    assert texts_of(svg) == ["Speed", "2 to 8", clock, "fast slow "]
    assert texts_of(drawn("Speed", {"fast": [(0.0, 3.0)]}))[-1] == "0:00"
    # The highest at the top, the lowest at the bottom, the first at the left; one value alone in the middle.
    fast, slow = polylines(svg)
    assert fast[1, 1] < fast[0, 1] < slow[0, 1]
    assert (fast[0, 0], fast[1, 0]) == (4, 236)
    (flat,) = polylines(drawn("Flat", {"a": [(0.0, 2.0), (1.0, 2.0)]}))
    assert np.allclose(flat[:, 1], (slow[0, 1] + fast[1, 1]) / 2)


def pictures_of(markdown: str) -> dict[str, str]:
    """SVGs by their names."""
    found = re.findall(r"!\[([^]]*)\]\(data:image/svg\+xml;base64,([^)]*)\)", markdown)
    return {name: base64.b64decode(code).decode() for name, code in found}


def test_the_largest_losses_are_drawn_over_a_logarithmic_axis():
    times = np.arange(30.0)
    values = {f"loss_{n}": list(zip(times, 10.0 ** (n - times / 10), strict=True)) for n in (3, 0, 5, 2, 4, 1)}
    values["psnr"] = list(zip(times, times, strict=True))
    pictures = pictures_of(plots_of(values, [(1.0, 2.0), (2.0, 8.0)]))
    assert list(pictures) == ["PSNR of batches, dB", "Losses", "Steps a second"]
    assert texts_of(pictures["Losses"])[-1] == "loss_3 loss_5 loss_2 loss_4 "
    for line in polylines(pictures["Losses"]):
        assert np.allclose(line[:, 1], np.linspace(*line[[0, -1], 1], 30), atol=0.11)
    assert "0 to 29" in texts_of(pictures["PSNR of batches, dB"])
    assert "2 to 8" in texts_of(pictures["Steps a second"])
    # What there is nothing of has no picture.
    assert list(pictures_of(plots_of({"loss": [(0.0, 1.0)], "none": [(0.0, 0.0)]}, []))) == ["Losses"]
    assert plots_of({}, []) == ""


def test_memory_is_the_processs_and_the_gpus(monkeypatch):
    (held,) = re.fullmatch(r"Memory: ([\d.]+) GB", memory_of("cpu")).groups()
    # As the kernel says, in KiB.
    (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    resident = 1024 * int(line)
    assert float(held) == pytest.approx(resident / 1e9, abs=0.05)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: {"cuda:1": 1.5e9}[device])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: {"cuda:1": 2.5e9}[device])
    assert memory_of("cuda:1").endswith("GB; 1.50 GB of the GPU, 2.50 GB at most")


def fake_trainer(save=None, state="training"):
    group = SimpleNamespace(param_groups=[{"lr": 0.0125}])
    return SimpleNamespace(
        training_state=state, _start_step=0, config=SimpleNamespace(max_num_iterations=100),
        last_metrics={"psnr": torch.tensor(21.25)}, last_losses={"rgb_loss": torch.tensor(0.5)},
        optimizers=SimpleNamespace(optimizers={"fields": group, "cores": group}), save_now=save,
    )  # fmt: skip


@pytest.fixture
def serve(monkeypatch):
    """Make a panel on a real server, by the trainer of a fake viewer."""
    monkeypatch.setattr(module, "_EVERY", 0.05)
    ends = []

    def make(trainer):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        viewer = FakeViewer(Ball(), trainer=trainer)
        viewer.viser_server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        live, panel = LiveViewer(viewer), TrainingPanel()
        panel.install(live, order=-1.0)
        ends.extend([live.close, viewer.viser_server.stop])
        return viewer, panel, port

    yield make
    for end in ends:
        end()


def test_the_page_is_sent_drawings_rates_and_memory_only_while_it_is_open(serve):
    viewer, panel, port = serve(fake_trainer())
    panel.history._soonest = 0.0
    for step in range(5):
        viewer.live.update_scene(step)
        time.sleep(0.02)
    time.sleep(0.2)
    assert panel._plots.content == "The first steps are under way."
    viewer.open(FakePage())
    with PageClient(port) as page:
        assert page.wait(lambda: any("svg+xml" in str(each) for each in page.others))
    texts = [base64.b64decode(code).decode() for code in re.findall(r"base64,([^)]*)\)", panel._plots.content)]
    assert ["PSNR" in texts[0], "Losses" in texts[1], "Steps" in texts[2]] == [True] * 3
    assert "21.2" in texts[0]
    assert "Learning rate of fields, cores: 0.0125" in panel._numbers.content
    assert re.search(r"Memory: 0\.\d+ GB|Memory: \d+\.\d+ GB", panel._numbers.content)


def test_saving_is_refused_while_a_checkpoint_is_written_and_says_where_it_lies(serve, tmp_path):
    may_go_on, calls = threading.Event(), []

    def save():
        calls.append(1)
        assert may_go_on.wait(30)
        return tmp_path / "step-000000007.ckpt"

    _, panel, _ = serve(fake_trainer(save))
    page = FakePage()
    client = page.client
    panel._start_saving(SimpleNamespace(client=client))
    with pytest.raises(InputError, match="being saved already"):
        panel._start_saving(SimpleNamespace(client=client))
    assert panel._saved.content.startswith("Waiting for the step at hand")
    may_go_on.set()
    panel._saver.join(30)
    assert len(calls) == 1
    # Without the folders, which would make the column as wide.
    assert panel._saved.content == f"Saved step-000000007.ckpt in {tmp_path.name} of the run folder."
    assert page.notes == [f"Saved: {tmp_path / 'step-000000007.ckpt'}"]
    panel._start_saving(SimpleNamespace(client=client))
    panel._saver.join(30)
    assert len(calls) == 2


def test_what_cannot_be_saved_is_a_sentence_and_can_be_tried_again(serve, capsys):
    def save():
        raise InputError("Cannot save the checkpoint of step 7: make room.")

    _, panel, _ = serve(fake_trainer(save))
    notes = []
    client = SimpleNamespace(add_notification=lambda title, body, **look: notes.append((body, look.get("color"))))
    for each in (None, client):
        panel._start_saving(SimpleNamespace(client=each))
        panel._saver.join(30)
        assert panel._saved.content == "Not saved: Cannot save the checkpoint of step 7: make room."
    assert notes == [(panel._saved.content, "red")]
    # Whoever does not look at the page reads it in the terminal.
    assert capsys.readouterr().out.count("Training: Cannot save the checkpoint of step 7") == 1


def test_closing_waits_for_the_checkpoint_that_is_written_and_ends_the_drawing(serve):
    may_go_on, written = threading.Event(), []

    def save():
        assert may_go_on.wait(30)
        written.append(1)
        raise InputError("No path.")

    viewer, panel, _ = serve(fake_trainer(save))
    panel._start_saving(SimpleNamespace(client=None))
    threading.Timer(0.1, may_go_on.set).start()
    viewer.live.close()
    assert written == [1]
    assert not panel._drawer.is_alive()


def test_what_cannot_be_drawn_is_said_in_the_terminal_and_tried_again(serve, capsys):
    trainer = fake_trainer()
    group, trainer.optimizers.optimizers = trainer.optimizers.optimizers, {"fields": SimpleNamespace(param_groups=5)}
    viewer, panel, _ = serve(trainer)
    viewer.open(FakePage())
    said = []
    assert eventually(lambda: said.append(capsys.readouterr().out) or "Training: 'int' object" in "".join(said))
    trainer.optimizers.optimizers = group
    assert eventually(lambda: "Learning rate of fields, cores" in panel._numbers.content)
    # There is nothing to plot before the first step.
    assert panel._plots.content == "The first steps are under way."


def test_a_trainer_that_cannot_save_at_any_moment_has_no_button(serve):
    trainer = fake_trainer()
    del trainer.save_now
    _, panel, _ = serve(trainer)
    assert not panel._save.visible


def test_the_memory_of_the_models_own_device_is_shown(serve, monkeypatch):
    viewer, panel, _ = serve(fake_trainer())
    monkeypatch.setattr(module, "memory_of", lambda device: f"Memory of {device}")
    viewer.pipeline.model = SimpleNamespace(device=torch.device("cuda:1"))
    panel._draw()
    assert "Memory of cuda:1" in panel._numbers.content


def test_a_finished_training_has_no_button_and_a_run_that_is_looked_at_no_panel(serve):
    trainer = fake_trainer(lambda: None)
    viewer, panel, _ = serve(trainer)
    viewer.open(FakePage())
    trainer.training_state = "completed"
    until = time.monotonic() + 5
    while panel._save.visible and time.monotonic() < until:
        time.sleep(0.02)
    assert not panel._save.visible
    assert eventually(lambda: panel._saved.content == "Training is done; its last step is saved.")
    _, panel, _ = serve(None)
    assert not hasattr(panel, "history")


def test_training_stands_first():
    assert isinstance(general_panels()[0], TrainingPanel)
    titles = [[each.title for each in general_panels(has_surface=has_one)] for has_one in (True, False)]
    assert titles == [["Training", "Mesh", "Look", "Cameras", "Take away"], ["Training", "Cameras", "Take away"]]
