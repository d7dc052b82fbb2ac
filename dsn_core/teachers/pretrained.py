"""Models of the transformers library, by hub name or from a folder. Never a pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError, require
from dsn_core.teachers.fingerprint import files_digest
from dsn_core.teachers.optional import import_optional
from dsn_core.teachers.pictures import normalised, resized

__all__ = [
    'PRECISIONS',
    'answer_to',
    'load_pretrained',
    'pretrained_digest',
    'require_pretrained',
]

PRECISIONS = ('fp32', 'bf16')
_CONFIG = 'config.json'


def require_pretrained(model: str, short_side: int, precision: str) -> None:
    """Check the fields that teachers from transformers share; raises ConfigError."""
    require(bool(model), 'model', 'a folder or a name on the hub', model)
    require(short_side >= 32, 'short_side', '32 or more', short_side)
    require(precision in PRECISIONS, 'precision', ' or '.join(PRECISIONS), precision)


def load_pretrained(
    model: str, revision: str, architecture: str, model_type: str, device: str
) -> Any:
    """The class ``architecture`` of transformers with the weights of ``model``, for inference.

    ``model`` is a folder that ``save_pretrained`` wrote, or a name on the hub, at ``revision``;
    its configuration must say ``model_type``. Raises UserError naming ``model``, what is wrong and
    the remedy. Weights are read from safetensors only, and every one must be there: transformers
    itself would draw missing ones at random.
    """
    transformers = import_optional('transformers', model_type)
    source = str(Path(model).expanduser()) if _is_folder(model) else model
    try:
        found, _ = transformers.PretrainedConfig.get_config_dict(source, revision=revision)
    except (OSError, ValueError) as error:
        raise _not_there(model, model_type, error) from error
    _check_type(model, found, model_type)
    try:
        network, report = getattr(transformers, architecture).from_pretrained(
            source, revision=revision, use_safetensors=True, output_loading_info=True
        )
    except ImportError as error:
        needed = ' '.join(str(error).split())
        raise UserError(f'teacher {model_type} needs another library: {needed}') from error
    except Exception as error:  # OSError, but also RuntimeError and those of safetensors
        raise _not_there(model, model_type, error) from error
    lacking = sorted(set(report['missing_keys']) & {n for n, _ in network.named_parameters()})
    if lacking:
        raise UserError(
            f'model {model} lacks {len(lacking)} of its weights, first {lacking[0]}: '
            'download it again, or take another one'
        )
    return network.eval().requires_grad_(False).to(device)


def answer_to(
    images: NDArray[np.uint8], size: tuple[int, int], network: Any, precision: str, device: str
) -> Any:
    """What ``network`` says of pictures (N, H, W, 3) RGB, shown at ``size`` (h, w).

    Normalised as ImageNet is, in ``precision`` (mixed for bf16), without gradients.
    """
    import torch

    pixels = torch.from_numpy(normalised(resized(images, *size))).to(device)  # (N, 3, h, w)
    mixed = torch.autocast(
        torch.device(device).type, dtype=torch.bfloat16, enabled=precision == 'bf16'
    )
    with torch.inference_mode(), mixed:
        return network(pixel_values=pixels)


def pretrained_digest(model: str, revision: str) -> str:
    """Digest of a folder's configuration and weights; name and revision of one on the hub.

    A revision that is a branch ('main') may change without notice: a commit never does.
    """
    if not _is_folder(model):
        return f'{model}@{revision}'
    folder = Path(model).expanduser()
    files = [folder / _CONFIG, *folder.glob('*.safetensors'), *folder.glob('*.index.json')]
    return files_digest([f for f in files if f.is_file()], folder)


def _is_folder(model: str) -> bool:
    return Path(model).expanduser().is_dir()


def _check_type(model: str, config: Mapping[str, Any], model_type: str) -> None:
    if config.get('model_type') != model_type:
        what = config.get('model_type', f'without a {_CONFIG} that names its type')
        raise UserError(f'model {model} is {what}, not {model_type}: give one of that type')


def _not_there(model: str, kind: str, error: Exception) -> UserError:
    why = str(error).strip().splitlines()[0].rstrip('.')
    if _is_folder(model):
        return UserError(
            f'model {model} cannot be loaded: {why} (the folder must hold {_CONFIG} and '
            f'model.safetensors, as save_pretrained writes them)'
        )
    return UserError(
        f'model {model} is no folder, and the hub does not give it: {why}. Where there is no '
        f'network, download it elsewhere and give its folder as model, or take a teacher of '
        f'another kind than {kind} (folder, for instance)'
    )
