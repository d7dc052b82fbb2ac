"""Variants with random weights as deploy graphs: how fast a network is does not depend on them."""

from importlib.util import find_spec
from pathlib import Path

from dsn_core.metadata import Size
from dsn_ros.bench.part import NO_TORCH
from dsn_ros.errors import UserError

__all__ = ['untrained']

_SURE = 400.0  # times the last layer's weights: labels are sure enough to be checked


def untrained(variant: str, size: Size, folder: Path) -> Path:
    """``folder``/VARIANT.onnx for pictures of ``size`` (height, width), the same at every call.

    ``paper`` has its light module, the lighter variants none, as they are trained. Raises
    UserError where there is no such variant, or no torch to make it with.
    """
    if find_spec('torch') is None:
        raise UserError(f'--variant {variant}: {NO_TORCH}')
    import torch

    from dsn_core.checkpoint import CheckpointInfo
    from dsn_core.export import export_network
    from dsn_core.models.variants import PAPER, VARIANTS

    if variant not in VARIANTS:
        raise UserError(f'--variant {variant}: choose from {", ".join(VARIANTS)}')
    info = CheckpointInfo(
        name=variant,
        height=size[0],
        width=size[1],
        training_data='nothing: random weights',
        light=variant == PAPER,
        variant=variant,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = info.build().eval()
        for each in network.state_dict().values():
            # Those that begin alike would be one tensor in the file.
            if each.is_floating_point() and each.min() == each.max():
                each += 0.1 * torch.randn_like(each)
    assert network.seg_decoder is not None, 'there are classes'
    last = network.seg_decoder.heads[0].weight
    assert isinstance(last, torch.Tensor)
    last.data *= _SURE
    path = folder / f'{variant}.onnx'
    export_network(network, info, path)
    return path
