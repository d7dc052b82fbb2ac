"""The moving average of a network's weights, which often does better than any of its moments."""

import copy

import torch
from torch import nn

__all__ = ['MovingAverage']


class MovingAverage(nn.Module):
    """An exponential moving average of ``network``; ``decay`` 0 follows it without delay."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in ``network`` as it is after ``step`` steps."""
        # Short at first, so that the average does not remember the beginning.
        decay = min(self.decay, (1 + step) / (10 + step))
        live = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(live[name].to(value.dtype), 1 - decay)
            else:
                value.copy_(live[name])
