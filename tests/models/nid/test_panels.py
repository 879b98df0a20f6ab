"""What somebody does to a shape's code in the page is drawn, and is not trained."""

import re
from base64 import b64decode

import pytest
import torch
from nerfstudio.data.scene_box import SceneBox
from viewer.served_page import served_page

from inr_plugins.models.nid.panels import CodePanel, describe
from inr_plugins.models.nid.shapes import NidShapesModelConfig

SIZES = {"experts": 12, "active": 4, "expert_width": 3, "trunk_width": 8, "trunk_layers": 2, "omega": 5.0}
AT = torch.tensor([[0.3, -0.2, 0.1], [-0.6, 0.5, 0.2], [0.0, 0.0, 0.9]])


def make(**changes):
    torch.manual_seed(0)
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    config = NidShapesModelConfig(**{**SIZES, "warmup_steps": 0, **changes})
    metadata = {"shapes": ("ball", "cube", "cone"), "file_unit": None}
    return config.setup(scene_box=box, num_train_data=1, metadata=metadata, device="cpu")


def four_largest(model, shape):
    """NID, sec. 3.3: the k entries of largest absolute value, over their length."""
    raw = model.gate.codes.detach()[shape]
    kept = raw * (raw.abs() >= raw.abs().sort().values[-SIZES["active"]])
    return kept / kept.norm()


def by_experts(model, code):
    """The sum of all experts' values, each evaluated by itself from its own tables."""
    bank, h = model.dictionary.bank, model.dictionary.features(AT)
    value = torch.zeros(len(AT))
    for j in range(SIZES["experts"]):
        hidden = bank.activation(h @ bank.hidden_weight[j].T + bank.hidden_bias[j])
        value += code[j] * (hidden @ bank.last_weight[j] + bank.last_bias[j])[:, 0]
    return value.detach()


def drawn(page):
    """Values of the field that is drawn, and of the one that a mesh of it is made of."""
    model = page.live.snapshot.model
    values = model.field.sdf(AT).detach()
    assert torch.equal(values, model.field_of(model.shown_shape).sdf(AT).detach())
    return values


def wait_for(page, expected):
    """Until the drawn field has these values."""
    page.page.wait(lambda: torch.allclose(drawn(page), expected, atol=1e-5))
    torch.testing.assert_close(drawn(page), expected, atol=1e-5, rtol=0)


@pytest.fixture
def opened():
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    panel = CodePanel()
    with served_page(model, panel) as page:
        yield model, page
    assert not panel._worker.is_alive()
    # Whatever was done.
    assert model.drawn_code is None
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_blend_is_drawn_at_once_and_in_snapshots_to_come(opened):
    model, page = opened
    a, b = four_largest(model, 0), four_largest(model, 2)
    wait_for(page, by_experts(model, a))
    with page.viewer.train_lock:
        # While a step runs.
        page.set("Towards", "2: cone")
        page.set("Blend", 0.25)
        wait_for(page, by_experts(model, 0.75 * a + 0.25 * b))
    old = page.live.snapshot
    page.live.retake()
    assert page.live.snapshot is not old
    wait_for(page, by_experts(model, 0.75 * a + 0.25 * b))
    page.set("Back to the learnt code", True)
    wait_for(page, by_experts(model, a))


def test_a_slider_changes_one_expert_and_the_others_follow_training(opened):
    model, page = opened
    a = four_largest(model, 0)
    expert = int(a.abs().argmax())
    page.set(f"Expert {expert}", -1.0)
    wanted = a.index_fill(0, torch.tensor([expert]), -1.0)
    wait_for(page, by_experts(model, wanted))
    # A step of training moves the code; what the user has set stays.
    table = model.gate.codes.detach()
    table.mul_(-1)
    page.live.retake()
    wanted = (-a).index_fill(0, torch.tensor([expert]), -1.0)
    wait_for(page, by_experts(model, wanted))
    table.mul_(-1)


def test_there_are_sliders_for_the_largest_entries_and_others_for_another_shape(opened):
    model, page = opened
    of_first = {f"Expert {j}" for j in four_largest(model, 0).nonzero()[:, 0].tolist()}
    of_second = {f"Expert {j}" for j in four_largest(model, 1).nonzero()[:, 0].tolist()}
    assert of_first != of_second

    def sliders():
        gone = {each["id"] for each in page.page.others if each["type"] == "GuiRemoveMessage"}
        added = [each for each in page.page.others if str(each.get("label")).startswith("Expert ")]
        return {each["label"] for each in added if each["id"] not in gone}

    assert page.page.wait(lambda: sliders() == of_first)
    model.show(1)
    page.live.retake()
    assert page.page.wait(lambda: sliders() == of_second)
    wait_for(page, by_experts(model, four_largest(model, 1)))
    assert page.page.wait(lambda: "1: cube" in str([e for e in page.page.others if "updates" in e]))


def test_another_shape_is_drawn_before_the_step_has_ended_and_shown_after_it(opened):
    model, page = opened
    with page.viewer.train_lock:
        page.set("From", "1: cube")
        wait_for(page, by_experts(model, four_largest(model, 1)))
        assert model.shown_shape == 0
    # The model's own dropdown, of which meshes are made, says so too.
    assert page.page.wait(lambda: model.shape_choice.value == "1: cube")


def test_what_somebody_has_set_goes_with_its_shape(opened):
    model, page = opened
    a = four_largest(model, 0)
    first, second = a.abs().topk(2).indices.tolist()
    for expert, value in ((first, -1.0), (second, 0.5)):
        page.set(f"Expert {expert}", value)
        # Both are kept.
        a = a.index_fill(0, torch.tensor([expert]), value)
        wait_for(page, by_experts(model, a))
    page.set("From", "2: cone")
    wait_for(page, by_experts(model, four_largest(model, 2)))
    # Of the new sliders one that was not there before.
    expert = next(j for j in four_largest(model, 2).nonzero()[:, 0].tolist() if four_largest(model, 0)[j] == 0)
    page.set(f"Expert {expert}", -1.0)
    wait_for(page, by_experts(model, four_largest(model, 2).index_fill(0, torch.tensor([expert]), -1.0)))
    # Chosen elsewhere in the page.
    model.show(1)
    page.live.retake()
    wait_for(page, by_experts(model, four_largest(model, 1)))
    page.set("Blend", 0.5)
    page.set("Back to the learnt code", True)
    wait_for(page, by_experts(model, four_largest(model, 1)))
    assert page.page.wait(lambda: value_of(page, "Blend") == 0.0)


def value_of(page, label):
    """What a control stands at, by the last that the page was told of it."""
    made = page.control(label)
    found = [
        each["updates"]["value"]
        for each in page.page.others
        if each.get("id") == made["id"] and "value" in each.get("updates", {})
    ]
    return found[-1] if found else None


def test_sliders_follow_training_and_an_entry_that_outgrows_them_gets_one(opened):
    model, page = opened
    a, codes = four_largest(model, 0), model.gate.codes.detach()
    expert = int(a.abs().argmax())
    assert page.control(f"Expert {expert}")
    kept = codes.clone()
    codes[0, expert] *= 0.8
    page.live.retake()
    # Of steps of a hundredth of three times the largest entry, to one digit.
    assert page.page.wait(
        lambda: value_of(page, f"Expert {expert}") == pytest.approx(float(four_largest(model, 0)[expert]), abs=0.011)
    )
    other = int(a.abs().argmin())
    codes[0, other] = 9.0
    page.live.retake()
    assert page.control(f"Expert {other}")
    assert page.control(f"Expert {other}")["max"] == 3.0
    codes.copy_(kept)


def test_what_is_said_of_experts_is_counted():
    code = torch.tensor([[0.0, 0.6, -0.8, 0.0]])
    codes = torch.tensor([[0.0, 0.6, -0.8, 0.0], [0.0, 1.0, 0, 0], [0.0, -1.0, 0, 0]])
    text = describe(code, codes)
    assert "**2 of 4** entries are not zero (4 experts); the largest 1 hold" in text
    assert "Of the dictionary's 3 shapes, **0 to 3** use an expert; 2 experts are used by none." in text
    charts = [b64decode(each).decode() for each in re.findall(r"base64,([^)]+)\)", text)]
    assert len(charts) == 2
    # One bar above zero and one below it; then four of one kind, of heights 3, 1, 0 and 0.
    assert [len(re.findall("v-", chart)) for chart in charts] == [2, 4]
    heights = [float(each) for each in re.findall(r"v-([\d.]+)h", charts[1])]
    assert heights == pytest.approx([heights[0], heights[0] / 3, 0, 0], abs=0.1)
    assert "There is no code" in describe(torch.zeros(1, 4), codes)
    # Two patches a shape: of two shapes.
    text = describe(codes[:2], torch.cat([codes, code]))
    assert "**3 of 8** entries are not zero (4 experts in 2 patches)" in text
    assert "Of the dictionary's 2 shapes, **0 to 2** use an expert; 2 experts are used by none." in text
