"""An encoder that learns more slowly than the rest of its network, or not at all.

Features that many real pictures taught are worth more than what a few streets would make of them
(docs/evidence.md); and without a backward pass through the encoder a step is much cheaper.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

from dsn_core.models.depthsegnet import DepthSegNet

__all__ = ['freeze_norms', 'parameter_groups']


def parameter_groups(
    network: DepthSegNet, others: Iterable[nn.Parameter], learning_rate: float, share: float
) -> list[dict[str, Any]]:
    """What an optimiser trains: ``network`` and ``others``, the encoder at ``share`` of the rate.

    With ``share`` 0 the encoder is in no group.
    """
    encoder = list(network.encoder.parameters())
    apart = {id(p) for p in encoder}
    rest = [p for p in network.parameters() if id(p) not in apart]
    groups: list[dict[str, Any]] = [{'params': [*rest, *others], 'lr': learning_rate}]
    if share:
        groups.append({'params': encoder, 'lr': share * learning_rate})
    return groups


def freeze_norms(module: nn.Module) -> None:
    """Let the batch norms within ``module`` normalise by what they know, and learn no more of it.

    To be said again after every ``train()``, which undoes it.
    """
    for each in module.modules():
        if isinstance(each, nn.modules.batchnorm._BatchNorm):
            each.eval()
