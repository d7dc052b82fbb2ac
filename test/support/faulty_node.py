"""The program ``perception_node`` with an engine that does what the pictures tell it.

The red of a picture's upper left corner: 251 raises, 252 hangs, 253 has no memory for more than
one picture, 254 for none. ``DSN_TEST_LOADING``: seconds that loading takes.
"""

import os
import time

from dsn_ros import perception_node, run_node

RAISES, HANGS, ONE_BY_ONE, NO_MEMORY = 251, 252, 253, 254

load_engine = perception_node.load_engine


class FaultyEngine:
    """Stands before a real engine."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def infer(self, images):
        told = set(images[:, 0, 0, 0].tolist())
        if RAISES in told:
            raise RuntimeError('the picture told it to raise')
        if HANGS in told:
            time.sleep(3600)
        if NO_MEMORY in told or (ONE_BY_ONE in told and len(images) > 1):
            raise RuntimeError('CUDA_ERROR_OUT_OF_MEMORY, as the picture told it')
        return self._engine.infer(images)


def load(*arguments):
    time.sleep(float(os.environ.get('DSN_TEST_LOADING', '0')))
    return FaultyEngine(load_engine(*arguments))


if __name__ == '__main__':
    perception_node.load_engine = load
    raise SystemExit(run_node.main())
