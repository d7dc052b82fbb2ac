"""What `dsn bench --json` writes, as docs/performance.md tells it."""

import math

from dsn_ros.bench.peers import DEPTH_ONLY, TWO_NETWORKS

NUMBER = (int, float)
SPREAD = {'median': NUMBER, 'low': NUMBER, 'high': NUMBER}
ROUNDS = {**SPREAD, 'rounds': [NUMBER]}
ROW = {
    'name': str,
    'precision': str,
    'is_peer': bool,
    'ms': ROUNDS,
    'cpu_ms': ROUNDS,
    'ratios': {DEPTH_ONLY: ROUNDS, TWO_NETWORKS: ROUNDS},
    'gmacs': NUMBER,
    'gflops': NUMBER,
    'share_of_limit': NUMBER,
}
SCHEMA = {  # as docs/performance.md tells it
    'format_version': int,
    'complete': bool,
    'machine': {'processor': str, 'cores': int, 'libraries': dict, 'date': str, 'busy': bool},
    'rounds': int,
    'threads': int,
    'skipped': [str],
    'limits': {
        'CPU': {
            'gemm_gflops': {'fp32': {'best': NUMBER, 'by': str, 'libraries': {'NumPy': NUMBER}}},
            'bandwidth_gb_s': NUMBER,
        }
    },
    'engines': {
        'groups': [
            {
                'model': str,
                'sha256': str,
                'height': int,
                'width': int,
                'batch': int,
                'device': str,
                'rows': [ROW],
            }
        ]
    },
    'path': {
        'model': str,
        'engine': str,
        'messages': str,
        'camera': {'height': int, 'width': int},
        'cases': {
            'bgr8': {
                'stages_ms': {'decode': SPREAD, 'infer': SPREAD, 'total': SPREAD},
                'around_ms': SPREAD,
                'share_around': SPREAD,
                'of_network_alone': ROUNDS,
            }
        },
    },
    'replay': {
        'what': str,
        'rows': {
            'replay': {'frames_per_s': ROUNDS, 'cpu_ms': ROUNDS, 'of_network_alone': ROUNDS},
            'network alone': {'frames_per_s': ROUNDS},
        },
    },
    'training': {
        'height': int,
        'width': int,
        'batch': int,
        'device': str,
        'stages': {
            'supervised': {
                'this project': {
                    'samples_per_s': ROUNDS,
                    'step_ms': ROUNDS,
                    'speed_ratio': ROUNDS,
                },
                'plain loop': {'samples_per_s': ROUNDS, 'step_ms': ROUNDS},
            }
        },
    },
}


def assert_fits(data, schema, where='$'):
    """Every field of ``schema`` is there and of its kind; there may be more."""
    if isinstance(schema, dict):
        assert isinstance(data, dict), where
        for name, each in schema.items():
            assert name in data, f'{where} has no {name}'
            assert_fits(data[name], each, f'{where}.{name}')
    elif isinstance(schema, list):
        assert isinstance(data, list), where
        for i, each in enumerate(data):
            assert_fits(each, schema[0], f'{where}[{i}]')
    else:
        assert isinstance(data, schema), f'{where} is {data!r}'
        assert not isinstance(data, float) or math.isfinite(data), where
