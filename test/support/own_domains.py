"""ROS domains that no other process of this run of pytest uses."""

import os
import zlib

HIGHEST = 100  # above 101 there are no ports on some systems


def own_domains():
    """Domains of this worker of pytest-xdist, or of this process where there is none."""
    workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
    number = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')) % workers
    run = zlib.crc32(os.environ.get('PYTEST_XDIST_TESTRUNUID', str(os.getpid())).encode())
    share = max(1, HIGHEST // workers)
    return [(run + number * share + i) % HIGHEST + 1 for i in range(share)]
