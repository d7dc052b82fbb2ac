"""CycleGAN's networks are the published ones."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from torch import nn

from dsn_core.models.cyclegan import Discriminator, Generator


def convolutions(network):
    return [
        (type(m) is nn.ConvTranspose2d, m.in_channels, m.out_channels, m.kernel_size[0], m.stride)
        for m in network.modules()
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
    ]


def is_norm(module):
    return 'Norm' in type(module).__name__


def layer(into, out, kernel, stride=1, up=False):
    return up, into, out, kernel, (stride, stride)


GENERATOR = [
    layer(3, 64, 7),
    layer(64, 128, 3, 2),
    layer(128, 256, 3, 2),
    *[layer(256, 256, 3)] * 18,
    layer(256, 128, 3, 2, up=True),
    layer(128, 64, 3, 2, up=True),
    layer(64, 3, 7),
]
DISCRIMINATOR = [
    layer(3, 64, 4, 2),
    layer(64, 128, 4, 2),
    layer(128, 256, 4, 2),
    layer(256, 512, 4),
    layer(512, 1, 4),
]


@pytest.mark.parametrize(
    ('network', 'layers', 'parameters'),
    [(Generator, GENERATOR, 11_378_179), (Discriminator, DISCRIMINATOR, 2_764_737)],
)
def test_layers_and_parameters_are_the_published_ones(network, layers, parameters):
    with torch.device('meta'):
        network = network()
    assert convolutions(network) == layers
    expected = sum(i * o * k * k + o for _, i, o, k, _ in layers)
    assert sum(p.numel() for p in network.parameters()) == expected == parameters


def test_every_convolution_but_the_outer_ones_is_normalised():
    for network, outer in ((Generator(8, 3), 1), (Discriminator(8), 2)):
        norms = [m for m in network.modules() if is_norm(m)]
        assert len(norms) == len(convolutions(network)) - outer
        assert not any(n.state_dict() for n in norms)


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_instance_normalisation_by_its_definition(batch, layout):
    """Its gradient too, in whatever layout it comes."""
    norm = next(m for m in Generator(4, 1).modules() if is_norm(m))
    torch.manual_seed(5)
    x, weights = torch.randn(2, batch, 4, 6, 7, dtype=torch.float64)
    x.requires_grad_(True)
    variance, mean = torch.var_mean(x, dim=(2, 3), unbiased=False, keepdim=True)
    expected = (x - mean) / torch.sqrt(variance + 1e-5)
    found = norm(x)
    torch.testing.assert_close(found, expected)
    weights = weights.contiguous(memory_format=layout)
    gradients = [torch.autograd.grad(y, x, weights)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_a_patch_is_70_pixels():
    network = Discriminator(4)
    for child in network.layers:
        if is_norm(child):  # it looks at the whole picture
            child.forward = lambda x: x
    image = torch.zeros(1, 3, 256, 256, requires_grad=True)
    scores = network(image)
    assert scores.shape == (1, 1, 30, 30)
    scores[0, 0, 15, 15].backward()
    touched = image.grad[0].abs().sum(dim=0) > 0
    rows, columns = torch.where(touched)
    assert touched.sum() == 70 * 70
    assert rows.max() - rows.min() == columns.max() - columns.min() == 69


@pytest.mark.parametrize('size', [(32, 32), (36, 52)])
def test_generated_pictures_have_the_size_and_range_of_pictures(size):
    torch.manual_seed(1)
    network = Generator(8, 2)
    with torch.no_grad():
        for layer in network.modules():  # far from the start, so that tanh has work to do
            if isinstance(layer, nn.Conv2d):
                layer.weight *= 30
        made = network(torch.rand(2, 3, *size) * 2 - 1)
    assert made.shape == (2, 3, *size)
    assert 0.9 < made.abs().max() <= 1


def test_a_picture_is_translated_alike_alone_and_among_others_in_training_and_after():
    torch.manual_seed(2)
    network = Generator(8, 2)
    images = torch.rand(3, 3, 32, 40) * 2 - 1
    with torch.no_grad():
        together = network(images)
        alone = network.eval()(images[1:2])
    torch.testing.assert_close(alone[0], together[1])


@pytest.mark.parametrize('network', [Generator, Discriminator])
def test_weights_start_small(network):
    torch.manual_seed(3)
    for name, values in network(32).state_dict().items():
        if name.endswith('bias'):
            assert not values.any()
        elif values.numel() > 10_000:
            assert float(values.std()) == pytest.approx(0.02, rel=0.05)
            assert float(values.mean()) == pytest.approx(0, abs=0.001)
