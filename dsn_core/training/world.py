"""The processes that train together: one, or those that torchrun or SLURM started.

Every process runs the same program. Stages that write files share the files out by ``rank``;
training stages are Lightning's DDP over the same processes.
"""

import os
from datetime import timedelta

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

__all__ = ['barrier', 'device', 'join', 'local_size', 'rank', 'share', 'size']


# One process may have to wait for another to render or to translate a whole data set.
_PATIENCE = timedelta(days=7)


def join() -> None:
    """Meet the other processes, if a launcher started any; call once, before all else."""
    if torch.distributed.is_available() and not torch.distributed.is_initialized():
        launcher = _launcher()
        if launcher is not None and launcher.world_size() > 1:
            torch.distributed.init_process_group(
                # Lightning takes a group that is there; CUDA tensors need NCCL.
                'cpu:gloo,cuda:nccl' if torch.cuda.is_available() else 'gloo',
                init_method=f'tcp://{launcher.main_address}:{launcher.main_port}',
                rank=launcher.global_rank(),
                world_size=launcher.world_size(),
                timeout=_PATIENCE,
            )


def _launcher() -> ClusterEnvironment | None:
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    return SLURMEnvironment() if SLURMEnvironment.detect() else None


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def rank() -> int:
    """Which process this is, from 0."""
    return torch.distributed.get_rank() if _joined() else 0


def size() -> int:
    """How many processes there are."""
    return torch.distributed.get_world_size() if _joined() else 1


def local_size() -> int:
    """How many of them run on this machine."""
    launcher = _launcher() if size() > 1 else None
    if isinstance(launcher, TorchElasticEnvironment):
        return int(os.environ.get('LOCAL_WORLD_SIZE', size()))
    if launcher is not None:
        return int(os.environ.get('SLURM_NTASKS_PER_NODE', size()))
    return 1


def device() -> str:
    """The GPU of this process, as torch names it, or cpu."""
    if not torch.cuda.is_available():
        return 'cpu'
    return f'cuda:{rank() % torch.cuda.device_count()}'


def share(count: int) -> range:
    """Which of ``count`` files this process makes."""
    return range(rank(), count, size())


def barrier() -> None:
    """Wait for the others."""
    if size() > 1:
        torch.distributed.barrier()
