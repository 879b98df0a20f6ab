import numpy as np
import torch

from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS, spherical_harmonics


def test_the_basis_is_orthonormal_over_the_sphere():
    # Gauss-Legendre in z and equal angles around it integrate products of degree 4 exactly.
    z, wz = np.polynomial.legendre.leggauss(6)
    phi = np.arange(12) * 2 * np.pi / 12
    zz, pp = np.meshgrid(z, phi, indexing="ij")
    r = np.sqrt(1 - zz**2)
    d = torch.from_numpy(np.stack([r * np.cos(pp), r * np.sin(pp), zz], -1).reshape(-1, 3))
    weight = torch.from_numpy(np.repeat(wz, 12) * 2 * np.pi / 12)
    y = spherical_harmonics(d)
    torch.testing.assert_close((y * weight[:, None]).T @ y, torch.eye(NUM_COEFFICIENTS, dtype=torch.float64))


def test_order_and_signs_are_those_of_plenoctrees():
    y = spherical_harmonics(torch.tensor([[0.36, 0.48, 0.8]], dtype=torch.float64))[0]
    assert y[0] > 0
    assert (torch.sign(y[1:4]) == torch.tensor([-1, 1, -1])).all()
    assert (torch.sign(y[4:]) == torch.tensor([1, -1, 1, -1, -1])).all()
    ratio = y[1:4] / torch.tensor([-0.48, 0.8, -0.36], dtype=torch.float64)
    torch.testing.assert_close(ratio, torch.full((3,), float(np.sqrt(3 / (4 * np.pi))), dtype=torch.float64))
