"""``dsn train``: the offline trainer, which learns here to read bags and where the weights are."""

from collections.abc import Sequence
from pathlib import Path

import dsn_ros.bag_frames  # noqa: F401  registers the kind bag
from dsn_core.errors import UserError
from dsn_core.teachers import set_default_model
from dsn_core.training.config import load_config
from dsn_core.training.config_docs import to_yaml
from dsn_core.training.label_free import GRAPH, train_label_free
from dsn_core.training.plan import STAGES
from dsn_core.training.supervised import train_supervised
from dsn_core.training.supervised_config import SupervisedConfig
from dsn_ros.engines import default_model

__all__ = ['show_config', 'train']

set_default_model(default_model)


def show_config(path: Path, overrides: Sequence[str]) -> str:
    """Return the whole configuration, resolved and explained, as YAML."""
    return to_yaml(load_config(path, overrides))


def train(path: Path, overrides: Sequence[str], stage: str | None) -> str:
    """Train as the configuration says, up to ``stage``; returns what to do with the result."""
    config = load_config(path, overrides)
    if isinstance(config, SupervisedConfig):
        if stage is not None:
            raise UserError(f'{path} has recipe supervised, which has phases and no stages')
        checkpoint = train_supervised(config)
        return f'{checkpoint} is trained: dsn export {checkpoint} --out MODEL.onnx'
    folder = train_label_free(config, stage or STAGES[-1])
    graph = folder / GRAPH
    if graph.exists():
        return f'{graph} is ready: dsn replay BAG --model {graph} --out OUT'
    return f'{folder} is done'
