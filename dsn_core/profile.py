"""Table 4: what the network costs, as the paper counts and as it truly is.

The paper's figures are those of ``thop`` 0.1.1, which counts a transposed convolution at its
output's size: four times too many at stride 2. Both countings are given.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dsn_core.errors import UserError
from dsn_core.models import DepthSegNet
from dsn_core.models.variants import PAPER as PAPER_VARIANT
from dsn_core.models.variants import VARIANTS

__all__ = ['PAPER', 'PartCost', 'profile']

# Table 4 of the paper, GMACs and millions of parameters.
PAPER = {
    'light': (20.573, 0.167),
    'encoder': (6.699, 11.177),
    'depth_decoder': (5.358, 3.153),
    'seg_decoder': (6.254, 3.192),
    'total': (38.884, 17.688),
}


@dataclass
class PartCost:
    """Cost of one part of the network for one image: multiply-adds and parameters."""

    thop_macs: int = 0
    true_macs: int = 0
    params: int = 0

    def __add__(self, other: 'PartCost') -> 'PartCost':
        return PartCost(
            self.thop_macs + other.thop_macs,
            self.true_macs + other.true_macs,
            self.params + other.params,
        )


def _count(cost: PartCost, module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        kernel = module.kernel_size[0] * module.kernel_size[1]
        cost.thop_macs += out.numel() * (module.in_channels // module.groups) * kernel
        if isinstance(module, nn.ConvTranspose2d):
            # Every input element meets every kernel tap once.
            per_element = (module.out_channels // module.groups) * kernel
            cost.true_macs += inputs[0].numel() * per_element
        else:
            cost.true_macs += out.numel() * (module.in_channels // module.groups) * kernel
    elif isinstance(module, nn.BatchNorm2d):
        # thop: mean, spread, scale and shift. In truth it folds into the convolution: nothing.
        cost.thop_macs += 4 * out.numel()


def _part(network: DepthSegNet, name: str) -> nn.Module:
    """A part of Table 4; a variant's context is counted with its encoder."""
    if name == 'encoder' and network.context is not None:
        return nn.ModuleList([network.encoder, network.context])
    return network.get_submodule(name)


@torch.no_grad()
def profile(
    height: int = 320, width: int = 576, num_classes: int = 19, variant: str = PAPER_VARIANT
) -> dict[str, PartCost]:
    """Count every part of ``DepthSegNet`` for one image by running it with hooks.

    Raises UserError for a variant that there is not.
    """
    if variant not in VARIANTS:
        raise UserError(f'variant {variant}: choose from {", ".join(VARIANTS)}')
    network = DepthSegNet(num_classes, variant=variant).eval()
    costs: dict[str, PartCost] = {}
    for part in ('light', 'encoder', 'depth_decoder', 'seg_decoder'):
        child = _part(network, part)
        costs[part] = PartCost(params=sum(p.numel() for p in child.parameters()))
        for module in child.modules():
            module.register_forward_hook(partial(_count, costs[part]))
    network(torch.zeros(1, 3, height, width))
    costs['total'] = sum(costs.values(), PartCost())
    return costs


def as_json(costs: dict[str, PartCost]) -> dict[str, Any]:
    """The figures under the names of the command line's ``--json``; the paper's beside them."""
    return {
        'parts': {
            part: {
                'paper_gmacs': PAPER[part][0],
                'thop_gmacs': cost.thop_macs / 1e9,
                'true_gmacs': cost.true_macs / 1e9,
                'params': cost.params,
            }
            for part, cost in costs.items()
        }
    }
