"""The networks. ``DepthSegNet`` is the paper's; its parts live in a file each."""

from dsn_core.models.depthsegnet import DepthSegNet, Perceived

__all__ = ['DepthSegNet', 'Perceived']
