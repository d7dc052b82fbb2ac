"""Reads files of weights as others publish them: .safetensors, and .pth, running no code."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dsn_core.checkpoint import CheckpointError, read_safetensors
from dsn_core.errors import UserError

__all__ = ['imagenet_resnet', 'read_pth', 'read_weights']

_ELSEWHERE = 'give the path of a resnet18-*.pth or .safetensors downloaded elsewhere'


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header entries (none in a .pth) and tensors of a file."""
    if path.suffix == '.safetensors':
        header, tensors = read_safetensors(path)
    elif path.suffix in ('.pth', '.pt'):
        header, tensors = {}, read_pth(path)
    elif path.exists():
        raise CheckpointError(f'{path} must be a folder or end in .safetensors, .pth or .pt')
    else:
        raise CheckpointError(
            f'init is {str(path)!r}, which is not there: give imagenet or the path of weights'
        )
    return header, {n: t for n, t in tensors.items() if n not in ('height', 'width', 'use_stereo')}


def read_pth(path: Path) -> dict[str, Tensor]:
    """Tensors by name of what ``torch.save`` wrote; CheckpointError where it holds more."""
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file of weights')
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        loaded: object = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # of many kinds: the bytes of a stranger's file decide which
        raise CheckpointError(
            f'{path} cannot be read as weights alone: it is damaged (get it again) or holds '
            f'objects, which are refused (ask for the weights as .safetensors)'
        ) from error
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f'{path} must hold a state dict, got a {type(loaded).__name__}')
    tensors: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if isinstance(value, Tensor):
            tensors[str(name)] = value.detach()
        elif not isinstance(value, (bool, int, float, str)):
            raise CheckpointError(
                f'{path} must hold tensors by their names, but its {name!r} is a '
                f'{type(value).__name__}: save the state dict alone'
            )
    return tensors


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is: torch.save compresses nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return  # damaged: torch.load says so
    if unpacked > path.stat().st_size:
        raise CheckpointError(
            f'{path} unpacks to {unpacked} bytes, more than it has: no file of torch.save; '
            'ask for the weights as .safetensors'
        )


def imagenet_resnet() -> dict[str, Tensor]:
    """What torchvision's ``ResNet18_Weights.IMAGENET1K_V1`` names, kept in torch's own cache."""
    try:
        from torchvision.models import (  # type: ignore[import-not-found, unused-ignore]
            ResNet18_Weights,
        )
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise UserError(
            f'init imagenet needs torchvision, which cannot be imported here: {_ELSEWHERE}'
        ) from error
    url: str = ResNet18_Weights.IMAGENET1K_V1.url
    name = url.rsplit('/', 1)[-1]  # resnet18-<beginning of its SHA-256>.pth
    path = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if not path.is_file():
        digest = path.stem.rsplit('-', 1)[-1]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest)
        except (OSError, RuntimeError) as error:
            reason = ' '.join(str(error).split())
            raise UserError(
                f'init imagenet could not be downloaded ({reason}): {_ELSEWHERE}'
            ) from error
    return read_pth(path)
