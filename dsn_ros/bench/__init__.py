"""``dsn bench``: how fast this machine is, side by side with what others would run on it.

>>> report = bench(BenchOptions((default_model(),)), progress_bar)  # doctest: +SKIP
"""

from dsn_ros.bench.options import PARTS, BenchOptions, quick, size_of
from dsn_ros.bench.run import Report, bench

__all__ = ['PARTS', 'BenchOptions', 'Report', 'bench', 'quick', 'size_of']
