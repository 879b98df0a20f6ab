"""What is said of what the pictures are taken for."""

import pytest
from nerfstudio.utils import comms

from inr_plugins.models.common.capture import say_capture


@pytest.mark.parametrize(
    ("capture", "taken", "otherwise"),
    [
        ("object", "an object that masks or alpha cut out of them;", ["--pipeline.model.capture table asks for none"]),
        (
            "table",
            "an object, looked at from outside,",
            ["cn-neus-room", "masks or alpha for --pipeline.model.capture"],
        ),
        ("room", "a room seen from inside;", ["cn-neus-table", "with masks or alpha for cn-neus."]),
    ],
)
def test_it_is_said_with_what_it_could_be_instead(capture, taken, otherwise, capsys):
    say_capture(capture)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"The pictures are taken for {taken}")
    assert all(each in said for each in otherwise)


def test_one_process_of_several_says_it(capsys, monkeypatch):
    monkeypatch.setattr(comms, "is_main_process", lambda: False)
    say_capture("room")
    assert capsys.readouterr().out == ""
