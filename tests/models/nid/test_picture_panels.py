"""What somebody does to a picture's code in the page is drawn, and is not trained; parts of a fit are drawn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.data.scene_box import SceneBox
from viewer.served_page import served_page

from inr_plugins.models.nid.image_fit import PARTS, NidImageFitModelConfig
from inr_plugins.models.nid.images import NidImagesModelConfig
from inr_plugins.models.nid.panels import PictureCodePanel
from inr_plugins.models.signals.panels import PICTURE, PartsPanel

WIDTH, HEIGHT, PICTURES = 8, 6, 3
SIZES = {"experts": 10, "active": 4, "expert_width": 3, "trunk_width": 8, "omega": 5.0, "patch": 4, "gate": "table"}
SIGNAL = {
    **{"width": WIDTH, "height": HEIGHT, "frames": PICTURES, "channels": 3, "bits": 8},
    **{"has_alpha": False, "span": (0.0, 255.0), "parts": ()},
}


def make(config):
    torch.manual_seed(0)
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    return config.setup(scene_box=box, num_train_data=1, metadata={"signal": SIGNAL}, device="cpu")


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
    row, entry = divmod(int(code.abs().argmax()), code.shape[1])
    page.set(f"Patch {row}, expert {entry}", -0.5)
    code[row, entry] = -0.5
    wanted = by_loops(model, code, 0)
    assert page.page.wait(lambda: torch.allclose(drawn(page, 0), wanted, atol=1e-5), 30)
    assert page.says("Of the dictionary's 3 pictures")


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
