"""diner-surface on a scene with a closed form, and what it refuses."""

import copy

import pytest
import torch
from ball_views import ball_batch, model_in_a_box, rays
from inr_plugins.method_configs.diner_surface import diner_surface
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.engine.optimizers import Optimizers

from inr_plugins.errors import InputError
from inr_plugins.models.diner_surface.checks import check_config, check_masks

RADIUS = 0.5


def config(**changes):
    settings = copy.deepcopy(diner_surface.config.pipeline.model)
    settings.lattice_sizes, settings.stage_steps, settings.smooth_share = (24, 32), (30,), (1.0, 1.0)
    settings.colour_degrees = (0, 2)
    settings.sharpening_steps, settings.refresh_every, settings.network.width = 40, 10, 16
    settings.hull_sizes, settings.hull_steps = (), ()
    for name, value in changes.items():
        setattr(settings, name, value)
    return settings


@pytest.fixture(scope="module")
def trained():
    """A model that began as a ball that is half as large again, and saw one."""
    torch.manual_seed(0)
    model = model_in_a_box(config())
    optimizers = Optimizers(copy.deepcopy(diner_surface.config.optimizers), model.get_param_groups())
    model.train()
    for step in range(110):
        model.before_step(step)
        bundle, batch = ball_batch(RADIUS, 1024, spread=0.3)
        losses = model.get_loss_dict(model.get_outputs(bundle), batch)
        optimizers.zero_grad_all()
        sum(losses.values()).backward()
        optimizers.optimizer_step_all()
        model.after_step(optimizers, step)
    return model.eval()


def test_a_ball_is_learnt_from_its_pictures(trained):
    model = trained
    assert int(model.stage) == 1
    assert max(model.field.lattice.shape) == pytest.approx(32, abs=2)
    assert float(model.sharpness) == pytest.approx(4.0)
    direction = torch.nn.functional.normalize(torch.randn(2000, 3), dim=-1)
    edge = float(model.field.lattice.edge)
    distance = model.field.sdf(direction * RADIUS).detach()
    assert float(distance.abs().mean()) < 0.3 * edge
    assert float((model.field.normal(direction * RADIUS) * direction).sum(-1).mean()) > 0.97
    bundle, batch = ball_batch(RADIUS, 2000, spread=0.3)
    with torch.no_grad():
        seen = model.get_outputs(bundle)
    assert set(seen) == {"rgb", "depth", "accumulation", "normals"}
    inside = batch["image"][:, 3] > 0
    assert float((seen["accumulation"][:, 0] > 0.5).eq(inside).float().mean()) > 0.96
    assert float((seen["rgb"][inside] - batch["image"][inside, :3]).abs().mean()) < 0.08
    # Where nothing is there is the background.
    sky = seen["accumulation"][:, 0] == 0
    assert bool((seen["rgb"][sky] == 1).all())


def test_a_state_is_taken_on_whole(trained):
    other = model_in_a_box(config(), seed=5)
    other.load_state_dict(copy.deepcopy(trained.state_dict()))
    other.eval()
    bundle, _ = ball_batch(RADIUS, 300)
    with torch.no_grad():
        for name, value in trained.get_outputs(bundle).items():
            torch.testing.assert_close(other.get_outputs(bundle)[name], value, atol=0, rtol=0)
    x = torch.rand(500, 3) * 2 - 1
    assert torch.equal(other.field.sdf(x), trained.field.sdf(x))


def test_rays_of_a_batch_do_not_change_each_other(trained):
    bundle, _ = ball_batch(RADIUS, 100)
    with torch.no_grad():
        whole = trained.get_outputs(bundle)
        part = trained.get_outputs(rays(bundle.origins[7:9], bundle.directions[7:9]))
    for name, value in part.items():
        torch.testing.assert_close(value, whole[name][7:9], atol=1e-6, rtol=0)


def test_settings_that_do_not_go_together_are_refused():
    for changes, words in (
        ({"stage_steps": (1, 2)}, "one for each but the last"),
        ({"lattice_sizes": (64, 32)}, "must grow"),
        ({"smooth_share": (1.0,)}, "smooth-share"),
        ({"sharpness_end": 0.0}, "--pipeline.model.sharpness-end must be above 0"),
        ({"far_plane": 0.01}, "far-plane"),
    ):
        with pytest.raises(InputError, match=words):
            check_config(config(**changes))
    check_config(diner_surface.config.pipeline.model)


def test_images_without_masks_are_refused():
    with pytest.raises(InputError, match="neither masks nor an alpha"):
        check_masks(opaque=True, labelled=True)
    with pytest.raises(InputError, match=r"--pipeline\.datamanager\.masks labels"):
        check_masks(opaque=False, labelled=False)


def test_a_scene_box_without_volume_is_refused():
    box = SceneBox(aabb=torch.zeros(2, 3))
    with pytest.raises(InputError, match="scene box"):
        config().setup(scene_box=box, num_train_data=1, metadata={}, device="cpu")
