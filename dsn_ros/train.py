"""``dsn train``: the offline trainer, which learns here to read bags and where the weights are."""

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import dsn_ros.bag_frames  # noqa: F401  registers the kind bag
from dsn_core.errors import UserError
from dsn_core.pretrained import set_default_checkpoint
from dsn_core.processes import Died
from dsn_core.ray_tasks import Share, check_shared, marked, ray_cluster
from dsn_core.teachers import set_default_model
from dsn_core.training.config import load_config
from dsn_core.training.config_docs import to_yaml
from dsn_core.training.label_free import GRAPH, train_label_free
from dsn_core.training.plan import STAGES
from dsn_core.training.supervised import train_supervised
from dsn_core.training.supervised_config import SupervisedConfig
from dsn_ros.engines import default_checkpoint, default_model

__all__ = ['show_config', 'train']

set_default_model(default_model)
set_default_checkpoint(default_checkpoint)

Task = TypeVar('Task')
Result = TypeVar('Result')

_TEACHER = 4e9  # bytes that one needs, with a batch of pictures


def show_config(path: Path, overrides: Sequence[str]) -> str:
    """Return the whole configuration, resolved and explained, as YAML."""
    return to_yaml(load_config(path, overrides))


def train(path: Path, overrides: Sequence[str], stage: str | None, ray: str | None = None) -> str:
    """Train as the configuration says, up to ``stage``; returns what to do with the result.

    ``ray``: address of the Ray cluster whose workers label and translate the frames.
    """
    config = load_config(path, overrides)
    if isinstance(config, SupervisedConfig):
        if stage is not None:
            raise UserError(f'{path} has recipe supervised, which has phases and no stages')
        if ray is not None:
            raise UserError(
                f'{path} has recipe supervised, which has no frames to label or to translate: '
                'leave --ray out'
            )
        checkpoint = train_supervised(config)
        return f'{checkpoint} is trained: dsn export {checkpoint} --out MODEL.onnx'
    runner = None if ray is None else _Cluster(ray, config.out)
    folder = train_label_free(config, stage or STAGES[-1], runner=runner)
    graph = folder / GRAPH
    if graph.exists():
        return f'{graph} is ready: dsn replay BAG --model {graph} --out OUT'
    return f'{folder} is done'


@dataclass(frozen=True)
class _Cluster:
    """A Ray cluster that is joined only while there are frames for it, a Runner."""

    address: str
    folder: Path
    """The run's, which all nodes must see."""

    def __call__(
        self, make: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]
    ) -> Generator[tuple[int, Result | Died[Result]], None, None]:
        """See Runner."""
        with ray_cluster(self.address) as cluster, marked(self.folder.absolute()) as mark:
            share = Share(gpus=1.0 if cluster.gpus else 0.0, memory=_TEACHER)
            workers = cluster.workers(max(1, cluster.room(share)), share)
            yield from workers(partial(_on_node, mark, Path.cwd(), make), tasks)


def _on_node(
    mark: Path, working: Path, make: Callable[[], Callable[[Task], Result]]
) -> Callable[[Task], Result]:
    """``make`` as where the run was started: it knows our model, and relative paths hold."""
    check_shared(mark)
    with contextlib.suppress(OSError):  # not there: paths are absolute, or are not found
        os.chdir(working)
    return make()
