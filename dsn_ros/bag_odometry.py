"""How far a robot came, from the odometry in its bag."""

import logging
from collections.abc import Iterator

import numpy as np

from dsn_core.data.sequencer import Track
from dsn_core.errors import ConfigError
from dsn_ros.bag_tf import ODOMETRY, TRANSFORMS, transforms_in
from dsn_ros.bags import Bag, TopicInfo
from dsn_ros.errors import MessageError

__all__ = ['read_track']

_Position = tuple[int, float, float, float]  # stamp in ns, x, y, z in metres

_logger = logging.getLogger(__name__)


def read_track(bag: Bag, wanted: str, max_gap: float) -> Track | None:
    """The way of the robot's base in ``bag``, by the stamps (seconds); None: not known.

    ``wanted`` is a topic of nav_msgs/Odometry or of transforms (for odom → base); nothing: the
    only Odometry topic, else /tf; 'none': don't look. Over ``max_gap`` seconds without a message
    nothing is known. Raises ConfigError naming the topics where ``wanted`` can't be used, and
    where nothing is wanted but there are several.
    """
    topic = _choose(bag, wanted)
    if topic is None:
        return None
    rows = np.array(list(_positions(bag, topic)), dtype=np.float64).reshape(-1, 4)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        if wanted:
            raise ConfigError(
                f'odometry {topic.name} of {bag.path} holds no positions (of a transform odom → '
                'base): choose another topic, or none'
            )
        return None
    _logger.info('%s: the way is that of %s', bag.path, topic.name)
    return Track.through(rows[:, 0] * 1e-9, rows[:, 1:], max_gap)


def _choose(bag: Bag, wanted: str) -> TopicInfo | None:
    if wanted == 'none':
        return None
    found = [t for t in bag.topics.values() if t.type == ODOMETRY and t.count]
    if not wanted:
        if len(found) > 1:
            raise ConfigError(
                f'odometry must be one of {", ".join(t.name for t in found)} for {bag.path}, '
                "which has them all, or 'none'"
            )
        return found[0] if found else bag.topics.get('/tf')
    topic = bag.topics.get(wanted) or bag.topics.get(f'/{wanted}')
    if topic is None or topic.type not in (ODOMETRY, *TRANSFORMS):
        there = found + [t for t in bag.topics.values() if t.type in TRANSFORMS]
        raise ConfigError(
            f'odometry {wanted} is no topic of Odometry or transforms in {bag.path}: choose from '
            f'{", ".join(t.name for t in there) or "none"}'
        )
    return topic


def _positions(bag: Bag, topic: TopicInfo) -> Iterator[_Position]:
    for message in bag.messages([topic.name]):
        try:
            found = list(transforms_in(bag.deserialize(message)))
        except MessageError as error:
            _logger.warning('%s: %s', bag.path, error)
            continue
        for stamp, parent, child, (x, y, z), _ in found:
            if topic.type == ODOMETRY or _is_of_base(parent, child):
                yield stamp, x, y, z


def _is_of_base(parent: str, child: str) -> bool:
    """Whether a transform is that of odom → base, in whichever namespace."""
    return parent.rpartition('/')[2] == 'odom' and child.rpartition('/')[2].startswith('base')
