"""Networks to load into, and files of weights as others publish them."""

import copy
import functools
import hashlib
import sys
import types
from collections import OrderedDict

import torch
from safetensors.torch import save_file

from dsn_core.checkpoint import CheckpointInfo, save_checkpoint
from dsn_core.models import DepthSegNet
from dsn_core.models.pose import PoseNet
from support import monodepth2_reference as reference

RESNET = reference.resnet18()
ENCODER = reference.resnet18('encoder.')
DEPTH = reference.depth_decoder()
POSE_ENCODER = reference.resnet18('encoder.', images=2, seed=3)
POSE = reference.pose_decoder()
FILES = {'encoder': ENCODER, 'depth': DEPTH, 'pose_encoder': POSE_ENCODER, 'pose': POSE}
SIZES = {'height': 192, 'width': 640, 'use_stereo': False}


def save(path, tensors):
    """Write as the suffix says; an encoder's .pth with the sizes that Monodepth2 adds."""
    if path.suffix == '.safetensors':
        save_file(tensors, path)
    else:
        extra = SIZES if 'encoder' in path.stem else {}
        torch.save(OrderedDict(tensors, **extra), path)
    return path


def save_folder(folder, suffix, names=tuple(FILES), **changed):
    folder.mkdir()
    for name in names:
        save(folder / f'{name}{suffix}', changed.get(name, FILES[name]))
    return folder


def networks(seed=5, num_classes=3, light=True, max_depth=100.0):
    """A fresh network and a fresh PoseNet."""
    return copy.deepcopy(shared_networks(seed, num_classes, light, max_depth))


@functools.cache
def shared_networks(seed, num_classes, light, max_depth):
    """The same ones for all who ask: not to be changed."""
    torch.manual_seed(seed)
    network = DepthSegNet(num_classes, light=light, max_depth=max_depth)
    return network.eval(), PoseNet().eval()


def values(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(module, before):
    return all(torch.equal(t, before[name]) for name, t in module.state_dict().items())


def our_checkpoint(path, seed=7, num_classes=3, light=True, **others):
    """A checkpoint of dsn train and its network."""
    names = tuple(f'class {i}' for i in range(num_classes))
    info = CheckpointInfo('ours', 64, 96, 'nothing', names, light=light, **others)
    torch.manual_seed(seed)
    network = info.build()
    save_checkpoint(path, network, info)
    return network


def torchvision_stand_in(folder, monkeypatch):
    """Stands in for torchvision, which has no CPU wheel: names a file here as its weights."""
    path = save(folder / 'weights.pth', RESNET)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(folder / f'resnet18-{digest}.pth')
    weights = types.SimpleNamespace(url=path.as_uri())
    models = types.ModuleType('torchvision.models')
    models.ResNet18_Weights = types.SimpleNamespace(IMAGENET1K_V1=weights)
    monkeypatch.setitem(sys.modules, 'torchvision', types.ModuleType('torchvision'))
    monkeypatch.setitem(sys.modules, 'torchvision.models', models)
    monkeypatch.setenv('TORCH_HOME', str(folder / 'home'))
    return weights
