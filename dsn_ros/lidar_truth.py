"""A LiDAR's clouds as sparse true depth of the camera's pictures.

Each point is moved through tf from where the sensor was when it measured it to where the camera
was when it took the picture, and projected with the camera's calibration, lens and all.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.lens import Lens
from dsn_ros.bag_tf import TransformTree
from dsn_ros.bags import Bag
from dsn_ros.camera import Camera
from dsn_ros.errors import BagError, MessageError
from dsn_ros.messages import stamp_ns
from dsn_ros.pipeline import Perception
from dsn_ros.point_clouds import POINT_CLOUD, Points, read_points

__all__ = [
    'LidarTopic',
    'LidarTruth',
    'camera_points',
    'choose_lidar',
    'fixed_frame',
    'lidar_topics',
    'project',
]

MAX_APART_NS = 100_000_000  # between a picture and its cloud
_FIRST = 20  # clouds that tell the sensor's period
_KEPT = 10  # clouds that pictures may still come for
_PENDING = 50  # pictures that wait for their cloud at most

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class LidarTopic:
    """One PointCloud2 topic: its frame, and how far apart a picture and its cloud may be."""

    name: str
    frame_id: str
    tolerance_ns: int


def lidar_topics(bag: Bag, tree: TransformTree, camera_frame: str) -> list[LidarTopic]:
    """The PointCloud2 topics of ``bag`` whose frame tf connects with the camera's."""
    clouds = [t.name for t in bag.topics.values() if t.type == POINT_CLOUD and t.count]
    topics = [_described(bag, name) for name in sorted(clouds)]
    return [each for each in topics if each and tree.connected(camera_frame, each.frame_id)]


def choose_lidar(bag: Bag, tree: TransformTree, camera_frame: str, wanted: str) -> LidarTopic:
    """Choose the topic ``wanted``, or with 'auto' the only one that tf connects to the camera.

    Raises BagError naming the topics, or the frames that are not connected.
    """
    clouds = [t.name for t in bag.topics.values() if t.type == POINT_CLOUD and t.count]
    there = f'its point clouds are {", ".join(clouds)}' if clouds else 'it has no point clouds'
    if wanted != 'auto':
        name = wanted if wanted in bag.topics else f'/{wanted}'
        topic = _described(bag, name) if name in clouds else None
        if topic is None:
            raise BagError(f'{bag.path} has no point clouds {wanted} for --lidar: {there}')
        tree.common(camera_frame, topic.frame_id)
        return topic
    found = lidar_topics(bag, tree, camera_frame)
    if len(found) > 1:
        names = ', '.join(t.name for t in found)
        raise BagError(f'{bag.path} has several LiDARs: choose one of {names} with --lidar')
    if not found:
        raise BagError(
            f'{bag.path} has no point clouds that tf connects with the camera ({camera_frame}): '
            f'{there}; name a topic with --lidar to learn what is missing'
        )
    return found[0]


def fixed_frame(tree: TransformTree, camera_frame: str, lidar_frame: str) -> str:
    """The frame in which the world stands still: odom if it is above both, else the root.

    odom before map: it does not jump when a localisation corrects itself (REP 105).
    """
    chain = tree.chain(camera_frame)
    above = chain[chain.index(tree.common(camera_frame, lidar_frame)) :]
    return next((f for f in above if f.rpartition('/')[2] == 'odom'), above[-1])


def camera_points(
    points: Points, tree: TransformTree, fixed: str, camera_frame: str, camera_ns: int
) -> NDArray[np.float64]:
    """(N, 3) points in the camera's optical frame as it was at ``camera_ns``; the world stood.

    NaN where the way through ``fixed`` is not known at one of the times.
    """
    if points.times_ns is None and points.stamp_ns == camera_ns:
        # Nothing moved in no time: no odometry needed.
        moves = tree.lookup(camera_frame, points.frame_id, np.array([camera_ns]))
        which = np.zeros(len(points.xyz), dtype=np.intp)
    else:
        if points.times_ns is None:
            times, which = np.array([points.stamp_ns]), np.zeros(len(points.xyz), dtype=np.intp)
        else:
            times, which = np.unique(points.times_ns, return_inverse=True)
        into_camera = tree.lookup(camera_frame, fixed, np.array([camera_ns]))
        moves = into_camera @ tree.lookup(fixed, points.frame_id, times)
    turned = np.einsum('nij,nj->ni', moves[which, :3, :3], points.xyz)
    return np.asarray(turned + moves[which, :3, 3])


def project(points: NDArray[np.float64], camera: Camera) -> Depth:
    """(H, W) float32 metres along the optical axis: the nearest point of each pixel, 0: none.

    ``points`` (N, 3) in the optical frame. Those behind the camera, outside the picture, not
    finite, or where the lens model folds over are left out.
    """
    depth = np.full(camera.height * camera.width, np.inf)
    ahead = points[np.isfinite(points).all(axis=1) & (points[:, 2] > 1e-3)]
    pixels = _pixels(ahead, camera) if len(ahead) else np.empty((0, 2))
    size = (camera.width, camera.height)
    inside = ((pixels > -0.5) & (pixels < np.array(size) - 0.5)).all(axis=1)
    ahead = ahead[inside]
    u, v = np.rint(pixels[inside]).astype(np.int64).clip(0, np.array(size) - 1).T
    if any(camera.d):
        # A polynomial lens brings points from far outside back in: their pixel's ray is another.
        off = np.abs(camera.rays()[v, u] - ahead[:, :2] / ahead[:, 2:]).max(axis=1)
        true = off < 0.05 + 4 / camera.focal_length
        ahead, u, v = ahead[true], u[true], v[true]
    np.minimum.at(depth, v * camera.width + u, ahead[:, 2])
    depth[np.isinf(depth)] = 0
    return depth.reshape(camera.height, camera.width).astype(np.float32)


def _pixels(points: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """(N, 2) u, v of points (N, 3) before the camera; pixel (0, 0) is the first one's centre."""
    k = np.array(camera.k, dtype=np.float64).reshape(3, 3)
    rays = points[:, :2] / points[:, 2:]
    if not camera.distorted:
        return np.asarray(rays * (k[0, 0], k[1, 1]) + (k[0, 2], k[1, 2]))
    lens = Lens(k, np.array(camera.d, dtype=np.float64), camera.distortion_model)
    with np.errstate(invalid='ignore'):
        return np.nan_to_num(lens.pixels(rays), nan=-1e6, posinf=-1e6, neginf=-1e6)


@dataclass(frozen=True)
class _Pending:
    """A picture that waits for its cloud."""

    stamp_ns: int
    frame_id: str
    camera: Camera | None


class LidarTruth:
    """Finds the cloud nearest to every picture and makes sparse depth of it.

    Pictures and clouds come in the order of the bag. ``add_frame``, ``add_cloud`` and ``finish``
    yield (stamp of the picture, depth (H, W) metres, 0: not measured) as pictures find their
    clouds; the depth is None where there is none.
    """

    def __init__(self, topic: LidarTopic, tree: TransformTree, camera_frame: str) -> None:
        self.topic = topic
        self.tree = tree
        self.fixed = fixed_frame(tree, camera_frame, topic.frame_id)
        self.moving = tree.moves(camera_frame, self.fixed)
        self.point_times = False
        self.without: dict[str, int] = {}
        self._counts: list[int] = []
        self._clouds: deque[Points] = deque(maxlen=_KEPT)
        self._pending: deque[_Pending] = deque()

    def add_frame(self, perception: Perception) -> Iterator[tuple[int, Depth | None]]:
        """Take a picture's stamp, frame and camera (of the size that is to be compared)."""
        frame_id = perception.frame_id.lstrip('/')
        self._pending.append(_Pending(perception.stamp_ns, frame_id, perception.camera))
        yield from self._settled()

    def add_cloud(self, message: Any) -> Iterator[tuple[int, Depth | None]]:
        """Take a PointCloud2; raises MessageError for one that cannot be used."""
        points = read_points(message)
        self.point_times |= points.times_ns is not None
        self._clouds.append(points)
        yield from self._settled()

    def finish(self) -> Iterator[tuple[int, Depth | None]]:
        """No cloud comes any more."""
        while self._pending:
            yield self._settle(self._pending.popleft())

    def summary(self) -> dict[str, Any]:
        """What was compared with, for metrics.json."""
        return {
            'topic': self.topic.name,
            'frame_id': self.topic.frame_id,
            'moved_in': self.fixed if self.moving else None,
            'point_times': self.point_times,
            'tolerance_s': round(self.topic.tolerance_ns * 1e-9, 4),
            'pixels_per_frame': int(np.median(self._counts)) if self._counts else 0,
            'frames_without': dict(self.without),
        }

    def _settled(self) -> Iterator[tuple[int, Depth | None]]:
        """Settle the pictures for which no nearer cloud can come."""
        newest = self._clouds[-1].stamp_ns if self._clouds else None
        while self._pending:
            known = newest is not None and newest >= self._pending[0].stamp_ns
            if not known and len(self._pending) <= _PENDING:
                return
            yield self._settle(self._pending.popleft())

    def _settle(self, frame: _Pending) -> tuple[int, Depth | None]:
        depth, reason = self._depth(frame)
        if depth is None:
            self.without[reason] = self.without.get(reason, 0) + 1
        else:
            self._counts.append(int(np.count_nonzero(depth)))
        return frame.stamp_ns, depth

    def _depth(self, frame: _Pending) -> tuple[Depth | None, str]:
        """The sparse depth of a picture, or why there is none."""
        if frame.camera is None:
            return None, 'the camera is not calibrated'
        nearest = min(
            self._clouds, key=lambda each: abs(each.stamp_ns - frame.stamp_ns), default=None
        )
        apart = self.topic.tolerance_ns
        if nearest is None or abs(nearest.stamp_ns - frame.stamp_ns) > apart:
            return None, f'no cloud within {apart * 1e-9:.3g} s'
        points = camera_points(nearest, self.tree, self.fixed, frame.frame_id, frame.stamp_ns)
        if len(points) and np.isnan(points).all():
            return None, f'no transform through {self.fixed} at its time'
        depth = project(points, frame.camera)
        return (depth, '') if depth.any() else (None, 'no point in the picture')


def _described(bag: Bag, name: str) -> LidarTopic | None:
    """Frame and tolerance of a topic by its first clouds; None where none can be read."""
    stamps: list[int] = []
    frame_id = ''
    for message in bag.messages([name]):
        try:
            header = bag.deserialize(message).header
            stamps.append(stamp_ns(header))
        except MessageError:
            continue
        frame_id = frame_id or str(header.frame_id).lstrip('/')
        if len(stamps) == _FIRST:
            break
    if not stamps:
        return None
    steps = np.diff(np.unique(stamps))
    half = int(np.median(steps)) // 2 if len(steps) else MAX_APART_NS
    return LidarTopic(name, frame_id, min(half, MAX_APART_NS))
