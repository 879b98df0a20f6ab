"""What somebody does to a picture's code in the page is drawn, and is not trained; parts of a fit are drawn."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.data.scene_box import SceneBox
from PIL import Image
from viewer.served_page import served_page

from inr_plugins.models.nid.image_fit import PARTS, NidImageFitModelConfig
from inr_plugins.models.nid.images import NidImagesModelConfig
from inr_plugins.models.nid.picture_panels import PictureCodePanel
from inr_plugins.models.signals.panels import PICTURE, ImagePanel, PartsPanel

WIDTH, HEIGHT, PICTURES = 8, 6, 3
SIZES = {"experts": 10, "active": 4, "expert_width": 3, "trunk_width": 8, "omega": 5.0, "patch": 4, "gate": "table"}
SIGNAL = {
    **{"width": WIDTH, "height": HEIGHT, "frames": PICTURES, "channels": 3, "bits": 8},
    **{"has_alpha": False, "span": (0.0, 255.0), "parts": ()},
}


def make(config, **changes):
    torch.manual_seed(0)
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    return config.setup(scene_box=box, num_train_data=1, metadata={"signal": SIGNAL, **changes}, device="cpu")


def by_loops(model, code, frame):
    """Values at the middles of all pixels of a picture, piece by piece and expert by expert."""
    pieces, dictionary = model.field.pieces, model.dictionary
    bank, total, count = dictionary.bank, torch.zeros(HEIGHT, WIDTH, 3), torch.zeros(HEIGHT, WIDTH, 1)
    places = pieces.grid.middles(torch.arange(pieces.grid.count))
    h = dictionary.trunk(places)
    for number, (top, left) in enumerate((top, left) for top in pieces.tops for left in pieces.lefts):
        row = code[number]
        values = row[-3:].expand(len(places), 3).clone()
        for j in range(SIZES["experts"]):
            hidden = bank.activation(h @ bank.hidden_weight[j].T + bank.hidden_bias[j])
            values += row[j] * (hidden @ bank.last_weight[j] + bank.last_bias[j])
        # Where pieces overlap, at the end of a row, by how deep the pixel is in each.
        deep = torch.minimum(torch.arange(4) + 0.5, 3.5 - torch.arange(4))
        weight = (deep[:, None] * deep)[..., None]
        total[top : top + 4, left : left + 4] += weight * values.view(4, 4, 3).detach()
        count[top : top + 4, left : left + 4] += weight
    return ((total / count + 1) / 2).view(-1, 3)


def drawn(page, frame):
    """Values that are drawn of a picture."""
    model = page.live.snapshot.model
    places = frame * WIDTH * HEIGHT + torch.arange(WIDTH * HEIGHT)
    return model.values_at(model.grid.indices(places).double()).detach()


@pytest.fixture
def opened():
    model = make(NidImagesModelConfig(**SIZES))
    model.codes.copy_(torch.randn_like(model.codes) / 3)
    before = {name: value.clone() for name, value in model.state_dict().items() if not name.endswith("_extra_state")}
    with served_page(model, PictureCodePanel()) as page:
        yield model, page
    assert model.drawn_code is None
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_pictures_are_what_their_codes_make(opened):
    model, page = opened
    for frame in range(PICTURES):
        torch.testing.assert_close(drawn(page, frame), by_loops(model, model.code_of(frame), frame), atol=1e-5, rtol=0)


def test_a_blend_is_drawn_in_place_of_the_shown_picture_alone(opened):
    model, page = opened
    page.set("Towards", "2: picture 2")
    page.set("Blend", 0.25)
    wanted = by_loops(model, 0.75 * model.code_of(0) + 0.25 * model.code_of(2), 0)
    assert page.page.wait(lambda: torch.allclose(drawn(page, 0), wanted, atol=1e-5), 30)
    torch.testing.assert_close(drawn(page, 1), by_loops(model, model.code_of(1), 1), atol=1e-5, rtol=0)
    page.set("Back to the learnt code", True)
    wanted = by_loops(model, model.code_of(0), 0)
    assert page.page.wait(lambda: torch.allclose(drawn(page, 0), wanted, atol=1e-5), 30)


def test_a_slider_changes_one_entry_of_a_patch(opened):
    model, page = opened
    code = model.code_of(0)
    row, entry = divmod(int(code[:, : SIZES["experts"]].abs().argmax()), SIZES["experts"])
    page.set(f"Patch {row}, expert {entry}", -0.5)
    code[row, entry] = -0.5
    wanted = by_loops(model, code, 0)
    assert page.page.wait(lambda: torch.allclose(drawn(page, 0), wanted, atol=1e-5), 30)
    assert page.says("Of the dictionary's 3 pictures")
    assert page.says("(10 experts in 4 patches)")


def test_a_channels_number_has_its_name_and_files_have_theirs():
    model = make(NidImagesModelConfig(**SIZES), names=("a.png", "b_1.png", "c.png"))
    model.codes.copy_(0.1 * torch.rand_like(model.codes))
    model.codes[1, 10], model.codes[2, 12], model.codes[3, 7] = 0.9, -0.8, 0.7
    with served_page(model, PictureCodePanel()) as page:
        assert page.control("From")["options"] == ["0: a.png", "1: b_1.png", "2: c.png"]
        code = model.code_of(0)
        page.set("Patch 2, blue level", 0.4)
        code[2, 12] = 0.4
        wanted = by_loops(model, code, 0)
        assert page.page.wait(lambda: torch.allclose(drawn(page, 0), wanted, atol=1e-5), 30)
        assert page.control("Patch 1, red level")["value"] == pytest.approx(0.9, abs=0.05)
        assert page.control("Patch 3, expert 7")["value"] == pytest.approx(0.7, abs=0.05)
    assert make(NidImagesModelConfig(**SIZES), names=("a.png",)).code_names == ("picture 0", "picture 1", "picture 2")


def test_experts_that_add_most_are_shown_as_pictures():
    model = make(NidImagesModelConfig(**SIZES))
    model.codes[:4, 3], model.codes[2, 8] = 0.5, 0.01
    found = []
    with served_page(model, PictureCodePanel()) as page:

        def is_shown():
            texts = [str((each.get("updates") or {}).get("markdown", "")) for each in page.page.others]
            found[:] = [text for text in texts if "row by row, each over a patch: 3, 8." in text]
            return bool(found)

        assert page.page.wait(is_shown, 30)
    held = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", found[-1])[-1]
    assert Image.open(io.BytesIO(b64decode(held))).size == (2 * 64 + 4, 64)


def test_pictures_of_a_fit_are_not_said_to_be_the_dictionarys():
    model = make(NidImageFitModelConfig(), names=("a.png", "b.png", "c.png"))
    model.code.data[:2, 0] = torch.tensor([0.5, 0.2])
    assert model.dictionary_names == ()
    with served_page(model, PictureCodePanel()) as page:
        assert page.says("Of these 3 pictures, **2 to 2**")
        assert page.control("From")["options"] == ["0: a.png", "1: b.png", "2: c.png"]


def test_a_frame_is_judged_by_the_name_of_its_file():
    model = make(NidImagesModelConfig(**SIZES), names=("a.png", "b_1.png", "c.png"))
    pictures = np.zeros((PICTURES, HEIGHT, WIDTH, 3), np.uint8)
    panel = ImagePanel(frames=PICTURES, frame=PICTURE, names=model.file_names)
    with served_page(model, panel, image=SimpleNamespace(pixels=pictures)) as page:
        page.set("Picture", 1)
        assert page.says("of all pixels of `b_1.png`, step")


def test_parts_of_a_fit_are_drawn():
    model = make(NidImageFitModelConfig())
    model.missing.view(PICTURES, HEIGHT, WIDTH)[1, 2:4, 3:5] = True
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, HEIGHT, WIDTH, 3)).astype(np.uint8)
    panel = PartsPanel(hint="parts", frames=PICTURES, frame=PICTURE)
    gone = np.zeros((HEIGHT, WIDTH, 1))
    gone[2:4, 3:5] = 1

    with served_page(model, panel, image=SimpleNamespace(pixels=pictures)) as page:

        def is_drawn(expected):
            return np.allclose(drawn(page, 1).numpy(), np.reshape(expected, (-1, 3)), atol=1e-6)

        assert page.control("Part")["options"] == list(PARTS)
        page.set("Picture", 1)
        # A dictionary of nothing is grey.
        assert page.page.wait(lambda: is_drawn(np.full((HEIGHT, WIDTH, 3), 0.5)), 30)
        page.set("Part", "missing")
        assert page.page.wait(lambda: is_drawn(np.broadcast_to(gone, (HEIGHT, WIDTH, 3))), 30)
        page.set("Part", "restored")
        assert page.page.wait(lambda: is_drawn(np.where(gone > 0, 0.5, pictures[1] / 255)), 30)
