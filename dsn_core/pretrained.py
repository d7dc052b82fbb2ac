"""Weights to begin with, from elsewhere: ImageNet's encoders and Monodepth2's networks.

Read from the published formats: torchvision's state dict of a ResNet-18, and Monodepth2's [17]
folder of ``encoder.pth``, ``depth.pth``, ``pose_encoder.pth`` and ``pose.pth``. Each may be a
safetensors file of the same tensors instead. Reading a ``.pth`` runs no code from it.

Our encoder normalises by (x - 0.45) / 0.225, which is what Monodepth2 does. ImageNet's weights
were trained with a mean and a spread for each colour; [17] starts from them with 0.45 and 0.225
all the same, and so do we: training takes up the difference.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from dsn_core.checkpoint import (
    HEADER,
    POSE_FILE,
    CheckpointError,
    load_checkpoint,
    load_pose,
    matching_state,
)
from dsn_core.efficientnet_weights import imagenet_file, is_efficientnet, timm_names
from dsn_core.errors import UserError
from dsn_core.models import DepthSegNet
from dsn_core.models.efficientnet import EfficientNetEncoder
from dsn_core.models.encoder import ResNetEncoder
from dsn_core.models.pose import PoseNet
from dsn_core.models.variants import VARIANTS
from dsn_core.weight_files import imagenet_resnet, read_pth, read_weights

__all__ = ['ENCODER_OF', 'initialise', 'require_source', 'set_default_checkpoint', 'source_path']

ENCODER_OF = 'encoder:'
"""Before the path of a checkpoint whose encoder alone is wanted."""

_SHIPPED, _IMAGENET = 'default', 'imagenet'
_default_checkpoint: list[Callable[[], Path]] = []

_ENCODER, _DEPTH, _SEG, _LIGHT = 'encoder', 'depth decoder', 'seg decoder', 'light module'
_CONTEXT = 'context'
_POSE_ENCODER, _POSE_DECODER = 'PoseNet encoder', 'PoseNet decoder'
_LAYOUT = 'encoder.pth and depth.pth (or .safetensors) as Monodepth2 publishes them'
_MONODEPTH2_DEPTHS = (0.1, 100.0)  # what its sigmoid stands for ([17]'s code)


@dataclass
class _Found:
    """States of the parts that a source has, where each came from, and what else to say of it."""

    states: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, part: str, state: dict[str, Tensor], origin: object) -> None:
        self.states[part], self.origins[part] = state, str(origin)


def initialise(network: DepthSegNet, pose: PoseNet | None, source: str) -> list[str]:
    """Load into ``network`` and ``pose`` what ``source`` has; one line each of what was done.

    ``source`` is '' (nothing is done), 'default' (the weights that ship), 'imagenet' (for variant
    paper torchvision's ResNet18_Weights.IMAGENET1K_V1, which needs torchvision and internet; for
    the others what ``efficientnet_weights`` finds), or the path of

    - a checkpoint of dsn train: all of the network; the decoder for classes, of the same number
      of classes, and the light module where both have one; the PoseNet of ``POSE_FILE`` beside
      it, where there is one;
    - 'encoder:' and the path of such a checkpoint: its encoder alone, as if it were the next;
    - a file with torchvision's names of a ResNet-18 (fc ignored): the encoder, and the PoseNet's
      as [17] does it, the first convolution repeated over the two pictures and divided by two;
      the same with 'imagenet';
    - a file with the names of an EfficientNet-Lite0 or -Lite2 (its classifier ignored): the
      encoder of a network of variant lite or lite2;
    - a file with Monodepth2's names, encoder.* or decoder.* or both: the encoder, the depth
      decoder;
    - a folder of Monodepth2's files: both of these, and the PoseNet where it has them. Of the two
      motions that its pose decoder says, it uses the first, which is the one taken.

    Files end in .safetensors, .pth or .pt. Every tensor of a part must be there in the right
    shape, and none besides. What the source does not have stays as it is, and the lines say so.

    Raises UserError naming the file, the tensor and the remedy; nothing is changed then.
    """
    if not source:
        return []
    parts = _parts(network)
    if pose is not None:
        parts |= {_POSE_ENCODER: pose.encoder, _POSE_DECODER: pose.decoder}
    found = _find(source, network, parts)
    for part, state in found.states.items():
        parts[part].load_state_dict(state)
    lines = [
        f'{part}: from {found.origins[part]}'
        if part in found.states
        else f'{part}: fresh, {source} has none'
        for part in parts
    ]
    return lines + found.remarks


def _parts(network: DepthSegNet) -> dict[str, nn.Module]:
    parts = {
        _ENCODER: network.encoder,
        _DEPTH: network.depth_decoder,
        _SEG: network.seg_decoder,
        _LIGHT: network.light,
        _CONTEXT: network.context,
    }
    return {part: module for part, module in parts.items() if module is not None}


def set_default_checkpoint(find: Callable[[], Path]) -> None:
    """Say which checkpoint 'default' is; whoever ships weights knows."""
    _default_checkpoint[:] = [find]


def source_path(source: str) -> Path:
    """The file or folder that ``source`` names, which may not be there.

    Raises UserError for 'default' where no weights ship.
    """
    if source != _SHIPPED:
        return Path(source.removeprefix(ENCODER_OF))
    if not _default_checkpoint:
        raise UserError('init default needs the weights that come with dsn_ros: use dsn train')
    return _default_checkpoint[0]()


def require_source(source: str, variant: str) -> None:
    """Raise UserError if ``initialise`` will not find ``source``: before hours of other work."""
    if source == _IMAGENET:
        encoder = VARIANTS[variant].encoder
        if issubclass(encoder, EfficientNetEncoder):
            imagenet_file(encoder)
    elif source and not source_path(source).exists():
        raise UserError(f'init {source}: there is no such file or folder')


def _find(source: str, network: DepthSegNet, parts: Mapping[str, nn.Module]) -> _Found:
    if source == _IMAGENET:
        if isinstance(network.encoder, EfficientNetEncoder):
            path = imagenet_file(type(network.encoder))
            return _efficientnet(path, read_pth(path), parts)
        return _resnet(source, imagenet_resnet(), parts)
    if source.startswith(ENCODER_OF):
        trained, _ = load_checkpoint(source_path(source))
        tensors = dict(trained.encoder.state_dict())
        return (_efficientnet if is_efficientnet(tensors) else _resnet)(source, tensors, parts)
    path = source_path(source)
    if path.is_dir():
        return _monodepth2_folder(path, network, parts)
    header, tensors = read_weights(path)
    if HEADER in header:
        return _checkpoint(path, network, parts)
    if is_efficientnet(tensors):
        return _efficientnet(path, tensors, parts)
    if any(re.match(r'conv1\.|bn1\.|layer\d\.', name) for name in tensors):
        return _resnet(path, tensors, parts)
    if any(name.startswith(('encoder.', 'decoder.')) for name in tensors):
        return _monodepth2_file(path, tensors, network, parts)
    first = next(iter(tensors), 'nothing')
    raise CheckpointError(
        f'{path} holds {first}: neither a checkpoint of dsn train nor the names of a ResNet-18 '
        f'(conv1.weight, ...), of an EfficientNet-Lite0 (conv_stem.weight, ...) or of Monodepth2 '
        f'(encoder.conv1.weight, ...): give one of these'
    )


def _checkpoint(path: Path, network: DepthSegNet, parts: Mapping[str, nn.Module]) -> _Found:
    trained, info = load_checkpoint(path)
    if trained.variant != network.variant:
        raise CheckpointError(
            f'{path} is of variant {trained.variant}, this network of {network.variant}: '
            'give a checkpoint of the same'
        )
    theirs, ours = trained.num_classes, network.num_classes
    if theirs and ours and theirs != ours:
        raise CheckpointError(
            f'{path} has {theirs} classes and this network {ours}: give a checkpoint with {ours}'
        )
    found = _Found()
    for part, module in _parts(trained).items():
        if part in parts:
            found.add(part, module.state_dict(), f'{path} ({info.name})')
        else:
            found.remarks.append(f'{part}: left out, this network has none')
    beside = path.with_name(POSE_FILE)
    if _POSE_ENCODER in parts and beside.is_file():
        pose = load_pose(beside)
        found.add(_POSE_ENCODER, pose.encoder.state_dict(), beside)
        found.add(_POSE_DECODER, pose.decoder.state_dict(), beside)
    _remark_on_depths(found, path, (info.min_depth, info.max_depth), network)
    return found


def _efficientnet(
    source: Path | str, tensors: Mapping[str, Tensor], parts: Mapping[str, nn.Module]
) -> _Found:
    encoder = parts[_ENCODER]
    if not isinstance(encoder, EfficientNetEncoder):
        raise CheckpointError(
            f'{source} is of an EfficientNet-Lite, this network has a ResNet-18: '
            'give variant lite or lite2, or weights of a ResNet-18'
        )
    found = _Found()
    named = timm_names(tensors, type(encoder))
    what = f'EfficientNet-{encoder.published.title()}'
    found.add(_ENCODER, matching_state(Path(source), named, encoder, what), source)
    return found


def _resnet(
    source: Path | str, tensors: Mapping[str, Tensor], parts: Mapping[str, nn.Module]
) -> _Found:
    found = _Found()
    state = _encoder_state(Path(source), tensors, parts[_ENCODER], '')
    found.add(_ENCODER, state, source)
    if _POSE_ENCODER in parts:
        weight = state['conv1.weight']  # (64, 3, 7, 7)
        two = {**state, 'conv1.weight': torch.cat([weight, weight], dim=1) / 2}
        found.add(_POSE_ENCODER, two, f'{source}, conv1 halved for two pictures')
    return found


def _monodepth2_file(
    path: Path,
    tensors: Mapping[str, Tensor],
    network: DepthSegNet,
    parts: Mapping[str, nn.Module],
) -> _Found:
    kinds = {name.split('.')[0] for name in tensors}
    strange = sorted(kinds - {'encoder', 'decoder'})
    if strange:
        raise CheckpointError(
            f'{path} holds {strange[0]}.* beside what Monodepth2 has in encoder.pth and depth.pth'
        )
    found = _Found()
    if 'encoder' in kinds:
        encoder = _starting(tensors, 'encoder.')
        found.add(_ENCODER, _encoder_state(path, encoder, parts[_ENCODER], 'encoder.'), path)
    if 'decoder' in kinds:
        decoder = _starting(tensors, 'decoder.')
        found.add(_DEPTH, _depth_state(path, decoder, parts[_DEPTH]), path)
        _remark_on_depths(found, path, _MONODEPTH2_DEPTHS, network)
    return found


def _monodepth2_folder(
    folder: Path, network: DepthSegNet, parts: Mapping[str, nn.Module]
) -> _Found:
    found = _Found()
    path = _file_of(folder, 'encoder')
    state = _encoder_state(path, read_weights(path)[1], parts[_ENCODER], 'encoder.')
    found.add(_ENCODER, state, path)
    path = _file_of(folder, 'depth')
    found.add(_DEPTH, _depth_state(path, read_weights(path)[1], parts[_DEPTH]), path)
    _remark_on_depths(found, path, _MONODEPTH2_DEPTHS, network)
    # A stereo-trained one has no PoseNet; half of one is a mistake.
    if _POSE_ENCODER in parts and (_look(folder, 'pose_encoder') or _look(folder, 'pose')):
        path = _file_of(folder, 'pose_encoder')
        state = _encoder_state(path, read_weights(path)[1], parts[_POSE_ENCODER], 'encoder.')
        found.add(_POSE_ENCODER, state, path)
        path = _file_of(folder, 'pose')
        state = _pose_decoder_state(path, read_weights(path)[1], parts[_POSE_DECODER])
        found.add(_POSE_DECODER, state, path)
    return found


def _look(folder: Path, stem: str) -> Path | None:
    for suffix in ('.safetensors', '.pth'):
        path = folder / f'{stem}{suffix}'
        if path.is_file():
            return path
    return None


def _file_of(folder: Path, stem: str) -> Path:
    path = _look(folder, stem)
    if path is None:
        raise CheckpointError(f'{folder} has no {stem}.pth: a folder must have {_LAYOUT}')
    return path


def _starting(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _encoder_state(
    path: Path, tensors: Mapping[str, Tensor], encoder: nn.Module, prefix: str
) -> dict[str, Tensor]:
    if not isinstance(encoder, ResNetEncoder):
        raise CheckpointError(
            f'{path} is of a ResNet-18, this network has an EfficientNet-Lite0: '
            'give variant paper, or weights of an EfficientNet-Lite0'
        )
    classifier = f'{prefix}fc.'
    stages = {name: t for name, t in tensors.items() if not name.startswith(classifier)}
    what = f'the ResNet-18 of {encoder.conv1.in_channels // 3} picture(s)'
    return matching_state(path, stages, encoder, what, lambda ours: prefix + ours)


def _depth_state(
    path: Path, tensors: Mapping[str, Tensor], decoder: nn.Module
) -> dict[str, Tensor]:
    """Monodepth2 lists ten convolutions from stride 16 up, two a stage, then the heads."""

    def theirs(ours: str) -> str:
        kind, number, *rest = ours.split('.')  # stages.0.before.weight, heads.0.weight
        if kind == 'heads':
            return f'decoder.{10 + int(number)}.conv.{rest[0]}'
        return f'decoder.{2 * int(number) + (rest[0] == "after")}.conv.conv.{rest[1]}'

    return matching_state(path, tensors, decoder, "Monodepth2's depth decoder", theirs)


def _pose_decoder_state(
    path: Path, tensors: Mapping[str, Tensor], decoder: nn.Module
) -> dict[str, Tensor]:
    def theirs(ours: str) -> str:
        number, kind = ours.split('.')  # our Sequential counts the ReLUs in between
        return f'net.{int(number) // 2}.{kind}'

    # As published the last one says two motions (12 numbers), of which the first is used.
    first = {
        name: t[:6] if name.startswith('net.3.') and t.shape[:1] == (12,) else t
        for name, t in tensors.items()
    }
    return matching_state(path, first, decoder, "Monodepth2's pose decoder", theirs)


def _remark_on_depths(
    found: _Found, path: Path, depths: tuple[float, float], network: DepthSegNet
) -> None:
    here = (network.min_depth, network.max_depth)
    if depths != here:
        found.remarks.append(
            f'depth: {path} was trained for {depths[0]:g} to {depths[1]:g}, this network is for '
            f'{here[0]:g} to {here[1]:g}: the same disparity now means another depth'
        )
