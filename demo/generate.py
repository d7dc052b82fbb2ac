"""Generates the demo bag beside this file: the first test town, by day and by night.

No network is trained on test towns (seeds ending in 9). The drive shows the same street twice, so
that day and night can be compared picture by picture.

    pip install '.[sim]' && python demo/generate.py
"""

from pathlib import Path

from dsn_core.simulation import SimulationOptions
from dsn_ros.simulated_bag import write_simulated_bag

SEED = 9
FRAMES = 22  # a drive; at most 10 MB in all

if __name__ == '__main__':
    # A coarse LiDAR, five frames a second: small enough for a repository.
    options = SimulationOptions(fps=5.0, lidar_azimuth_step=1.0)
    write_simulated_bag(
        Path(__file__).parent / 'street', SEED, ['day', 'night'], FRAMES, options, jpeg_quality=85
    )
