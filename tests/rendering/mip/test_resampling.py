import pytest
import torch

from inr_plugins.rendering.mip.resampling import blurred, resampled_edges
from inr_plugins.rendering.sections import even_edges


def test_the_blur_is_the_mean_of_the_maxima_of_neighbours():
    """By hand: maxima 4 4 1 1 6 6 (the last weight goes on at each end), their means 4 2.5 1 3.5 6."""
    assert blurred(torch.tensor([[4.0, 1.0, 0.0, 1.0, 6.0]])).tolist() == [[4.0, 2.5, 1.0, 3.5, 6.0]]


def shares(edges, weights):
    """How much of the density of blurred and padded weights each section holds, in a plain loop."""
    count = len(weights)
    found = []
    for i in range(count):
        left, right = weights[max(i - 1, 0)], weights[min(i + 1, count - 1)]
        found.append((max(left, weights[i]) + max(weights[i], right)) / 2 + 0.01)
    return torch.tensor(found) / sum(found)


@pytest.mark.parametrize("jittered", [False, True])
def test_new_edges_are_as_dense_as_blurred_and_padded_weights(jittered):
    torch.manual_seed(0)
    edges = torch.tensor([[2.0, 2.1, 2.5, 3.5, 3.6, 4.0, 6.0]])
    weights = torch.tensor([[0.0, 0.1, 0.0, 0.6, 0.0, 0.0]])
    count = 20_000
    jitter = torch.rand(1, count + 1) if jittered else None
    found = resampled_edges(edges, weights, count, jitter=jitter)
    assert (found.diff() >= 0).all()
    histogram = torch.histogram(found[0], bins=edges[0])[0] / (count + 1)
    torch.testing.assert_close(histogram, shares(edges[0], weights[0].tolist()), atol=3e-4, rtol=0)


def test_without_jitter_the_first_and_last_edges_stay():
    edges = even_edges(torch.rand(50), 2 + torch.rand(50), 7)
    found = resampled_edges(edges, torch.rand(50, 7), 5)
    assert torch.equal(found[:, 0], edges[:, 0])
    assert torch.equal(found[:, -1], edges[:, -1])


def test_jittered_quantiles_lie_anywhere_in_equal_parts():
    """Of an empty ray, whose quantiles are even: five edges in as many fifths."""
    edges = even_edges(torch.zeros(2000), torch.ones(2000), 8)
    found = resampled_edges(edges, torch.zeros(2000, 8), 4, jitter=torch.rand(2000, 5))
    part = found * 5 - torch.arange(5)
    assert ((part > -1e-4) & (part < 1 + 1e-4)).all()
    torch.testing.assert_close(part.mean(0), torch.full((5,), 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(part.std(0), torch.full((5,), 12**-0.5), atol=0.02, rtol=0)


def test_empty_rays_are_cut_evenly():
    edges = even_edges(torch.tensor([1.0]), torch.tensor([5.0]), 8)
    found = resampled_edges(edges, torch.zeros(1, 8), 4)
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]))


def test_within_a_section_new_edges_are_even():
    """All sections alike but one, so that inside it the quantiles advance linearly."""
    edges = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    found = resampled_edges(edges, torch.ones(1, 3), 30)
    torch.testing.assert_close(found, torch.linspace(0, 3, 31)[None], atol=1e-5, rtol=0)


def test_no_gradient_and_no_rays():
    weights = torch.rand(3, 6, requires_grad=True)
    edges = even_edges(torch.zeros(3), torch.ones(3), 6)
    assert not resampled_edges(edges, weights, 4).requires_grad
    assert resampled_edges(edges[:0], weights[:0], 4).shape == (0, 5)
