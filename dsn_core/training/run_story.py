"""What a run folder tells of itself beside its stages: configuration, versions, history."""

import json
import platform
import sys
import time

import lightning
import numpy as np
import torch

from dsn_core import __version__
from dsn_core.files import replacing
from dsn_core.training import world
from dsn_core.training.config_docs import to_yaml
from dsn_core.training.label_free_config import LabelFreeConfig

__all__ = ['tell_story']


def tell_story(config: LabelFreeConfig) -> None:
    """Write ``config.yaml`` (all fields, explained) and add this start to ``history.jsonl``."""
    if world.rank():
        return
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / 'config.yaml'
    with replacing(path) as beside:
        beside.write_text(to_yaml(config), encoding='utf-8')
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    start = {
        'time': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'command': sys.argv,
        'seed': config.seed,
        'processes': world.size(),
        'gpu': cuda,
        'threads': torch.get_num_threads(),
        'versions': {
            'dsn_ros': __version__,
            'python': platform.python_version(),
            'torch': torch.__version__,
            'lightning': lightning.__version__,
            'numpy': np.__version__,
        },
    }
    with (config.out / 'history.jsonl').open('a', encoding='utf-8') as file:
        file.write(json.dumps(start) + '\n')
