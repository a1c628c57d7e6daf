"""DCGAN shapes at every image size, and the linear and sparse networks against their formulas."""

import numpy as np
import pytest
import torch

from dgaal_cli.methods.gaal.dcgan import DcganDiscriminator, DcganGenerator, draw_prior
from dgaal_cli.methods.gaal.sparse_coding import CodedMachine, SparseCoder
from dgaal_cli.networks.linear import LinearMachine
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.seeding import initializing, torch_generator


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_synthetic_images_have_the_pools_size_and_range(size, channels):
    generator = DcganGenerator(channels=channels, image_size=size, latent=10, width=4)
    discriminator = DcganDiscriminator(channels=channels, image_size=size, width=4)
    images = generator(draw_prior(3, 10, torch_generator(0)))
    assert images.shape == (3, channels, size, size)
    assert float(images.detach().abs().max()) <= 1.0
    assert discriminator(images).shape == (3,)
    assert discriminator.features(images).shape[0] == 3


def test_layers_at_32_pixels_equal_the_published_code():
    generator = DcganGenerator(channels=3, image_size=32, latent=100, width=64)
    discriminator = DcganDiscriminator(channels=3, image_size=32, width=64)
    convolutions = [m for m in generator.body if isinstance(m, torch.nn.ConvTranspose2d)]
    assert generator.project.out_features == 512 * 2 * 2
    assert [m.out_channels for m in convolutions] == [256, 128, 64, 3]
    assert all(m.kernel_size == (5, 5) and m.stride == (2, 2) for m in convolutions)
    downsampling = [m for m in discriminator.body if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in downsampling] == [64, 128, 256, 512]
    norms = [m.num_features for m in discriminator.body if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms == [128, 256, 512]
    assert discriminator.head.in_features == 512 * 2 * 2


def test_initial_weights_have_standard_deviation_002():
    with initializing(0, "test"):
        generator = DcganGenerator(channels=1, image_size=32, latent=100, width=16)
    assert float(generator.project.weight.detach().std()) == pytest.approx(0.02, rel=0.05)


def test_prior_is_uniform_in_the_cube():
    z = draw_prior(2000, 5, torch_generator(3))
    assert float(z.min()) >= -1.0
    assert float(z.max()) <= 1.0
    assert float(z.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(z.var()) == pytest.approx(1 / 3, abs=0.01)


def test_codes_minimize_the_documented_objective():
    """At the minimum a subgradient is zero: |D r| = sparsity for nonzero codes, less for others."""
    with initializing(1, "test"):
        coder = SparseCoder(inputs=16, atoms=10, sparsity=0.2)
    images = 2 * torch.rand(6, 1, 4, 4, generator=torch_generator(2)) - 1
    with torch.no_grad():
        codes = coder(images)
        correlations = (images.flatten(1) - coder.reconstruct(codes)) @ coder.atoms.T
    is_nonzero = codes != 0
    assert is_nonzero.any()
    assert not is_nonzero.all()
    assert torch.allclose(correlations[is_nonzero], 0.2 * codes[is_nonzero].sign(), atol=1e-2)
    assert float(correlations[~is_nonzero].abs().max()) <= 0.2 + 1e-2


def test_atoms_have_unit_norm():
    with initializing(1, "test"):
        coder = SparseCoder(inputs=16, atoms=10, sparsity=0.2)
    lengths = coder.atoms.detach().norm(dim=1)
    assert torch.allclose(lengths, torch.ones(10))
    squared_norm = np.linalg.norm(coder.atoms.detach().numpy(), 2) ** 2
    assert float(coder.lipschitz) == pytest.approx(1.001 * squared_norm, rel=1e-4)


def test_linear_machine_uses_pixels_and_coded_machine_uses_codes():
    images = 2 * torch.rand(3, 1, 4, 4, generator=torch_generator(2)) - 1
    machine = LinearMachine(channels=1, image_size=4, head=ClassLearning(3).head)
    logits, features = machine(images)
    assert torch.equal(features, images.flatten(1))
    assert torch.equal(logits, torch.zeros(3, 3))
    coder = SparseCoder(inputs=16, atoms=7, sparsity=0.1)
    coded = CodedMachine(coder, channels=1, image_size=4, head=ClassLearning(3).head)
    assert torch.equal(coded(images)[1], coder(images))
    assert coded.head.in_features == 7
