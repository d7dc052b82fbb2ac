"""Simulated drives as a ROS 2 bag: what a robot would have recorded, with the truth beside it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation import (
    CONDITIONS,
    SimulatedDrive,
    SimulatedFrame,
    SimulationOptions,
    draw_all,
    drive_name,
)
from dsn_core.simulation.lidar import ABOVE_CAMERA
from dsn_ros.bag_writer import BagWriter
from dsn_ros.camera import Camera
from dsn_ros.results_folder import staged

__all__ = ['simulate_bags', 'write_simulated_bag']

START_NS = 1_767_268_800 * 10**9  # noon of 1 January 2026, UTC
GAP_NS = 10**9  # between two drives
OPTICAL, LIDAR, BODY = 'camera_optical', 'lidar', 'base_link'
BASE, ODOM = 'base_footprint', 'odom'

# Level optical axes (x right, y down, z forward) → REP 103 body axes (x forward, y left, z up).
_OPTICAL_TO_BODY = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4')])


def write_simulated_bag(
    out: Path,
    seed: int,
    conditions: Sequence[str],
    frames: int,
    options: SimulationOptions | None = None,
    jpeg_quality: int = 90,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Drive the streets of ``seed`` once in every condition and write the bag folder ``out``.

    Topics: ``/camera/image/compressed``, ``/camera/camera_info``, ``/odom`` (Odometry of
    base_footprint), ``/tf`` (odom → base_footprint, on the road; base_footprint → base_link, the
    body on its springs), ``/tf_static`` (base_link → camera_optical, lidar), ``/lidar/points``,
    and the truth: ``/ground_truth/depth/image`` (16UC1 millimetres, 0 = sky or beyond 65.5 m),
    ``/ground_truth/labels/image`` (mono8), ``/ground_truth/instances/image`` (16UC1, class * 1000
    + number), ``/ground_truth/condition`` (String).
    Raises SimulationError where the simulation cannot run and UserError where ``out`` cannot be
    written.
    """
    total = frames * len(conditions)
    with staged(out.parent) as beside:
        folder = beside / out.name
        with BagWriter(folder) as writer:
            bag = _DriveRecorder(writer, jpeg_quality)
            start = START_NS
            for n, condition in enumerate(conditions):
                drive = SimulatedDrive(seed, condition, options)
                bag.start_drive(drive, start)
                stamp = start
                for frame in drive.frames(frames):
                    stamp = start + round(frame.time * 1e9)
                    bag.write(drive, frame, stamp)
                    if progress is not None:
                        progress(n * frames + frame.index + 1, total)
                start = stamp + GAP_NS


@dataclass(frozen=True)
class _BagJob:
    out: Path
    seed: int
    conditions: tuple[str, ...]
    frames: int
    options: SimulationOptions


def _write(job: _BagJob) -> None:
    write_simulated_bag(job.out, job.seed, job.conditions, job.frames, job.options)


def simulate_bags(
    out: Path,
    seeds: Iterable[int],
    conditions: Sequence[str] = CONDITIONS,
    frames: int = 24,
    options: SimulationOptions | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    gpus: Sequence[int] = (),
) -> list[Path]:
    """Write one bag per seed below ``out``; returns them all, in order.

    A bag is whole when its folder has the .mcap, which is moved there last; whole ones are left
    as they are. The other arguments are those of :func:`dsn_core.simulation.simulate`.
    """
    options, seen = options or SimulationOptions(), tuple(conditions)
    name = '_'.join(seen)
    jobs = [_BagJob(out / drive_name(s, name), s, seen, frames, options) for s in seeds]
    missing = [job for job in jobs if not (job.out / f'{job.out.name}.mcap').is_file()]
    draw_all(_write, missing, workers, gpus, len(jobs), progress)
    return [job.out for job in jobs]


class _DriveRecorder:
    """Writes the messages of drives."""

    def __init__(self, writer: BagWriter, jpeg_quality: int) -> None:
        self._put = writer.write
        self._build = writer.build
        self._jpeg = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]

    def start_drive(self, drive: SimulatedDrive, stamp_ns: int) -> None:
        """Say what light there is and where the sensors are mounted."""
        self._put('/ground_truth/condition', self._build.string(drive.condition), stamp_ns)
        above = (0.0, 0.0, drive.camera_height)
        on_top = (0.0, 0.0, drive.camera_height + ABOVE_CAMERA)
        mount = _quaternion(_OPTICAL_TO_BODY @ drive.mounting)
        transforms = [
            (stamp_ns, BODY, OPTICAL, above, mount),
            (stamp_ns, BODY, LIDAR, on_top, (0.0, 0.0, 0.0, 1.0)),
        ]
        self._put('/tf_static', self._build.tf_message(transforms), stamp_ns)

    def write(self, drive: SimulatedDrive, frame: SimulatedFrame, stamp_ns: int) -> None:
        """One frame: calibration and pose first, as drivers do, then the pictures."""
        build = self._build
        header = build.header(stamp_ns, OPTICAL)
        k = drive.intrinsics
        camera = Camera.pinhole(k.width, k.height, k.fx, k.fy, k.cx, k.cy)
        info = build.camera_info(camera.to_info(), header)
        self._put('/camera/camera_info', info, stamp_ns)
        self._put_pose(frame, stamp_ns)
        ok, jpeg = cv2.imencode('.jpg', cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), self._jpeg)
        assert ok, 'an 8-bit picture can always be encoded'
        picture = build.compressed_image(jpeg.tobytes(), 'jpeg', header)
        self._put('/camera/image/compressed', picture, stamp_ns)
        within = frame.depth < 65.535
        depth = np.where(within, frame.depth * 1000, 0).round().astype(np.uint16)
        self._put('/ground_truth/depth/image', build.image(depth, '16UC1', header), stamp_ns)
        labels = build.image(frame.labels, 'mono8', header)
        self._put('/ground_truth/labels/image', labels, stamp_ns)
        things = build.image(frame.instances, '16UC1', header)
        self._put('/ground_truth/instances/image', things, stamp_ns)
        camera_to_body = _OPTICAL_TO_BODY @ drive.mounting
        points = drive.lidar(frame) @ camera_to_body.T.astype(np.float32)
        points[:, 2] -= np.float32(ABOVE_CAMERA)
        cloud = np.empty((1, len(points)), dtype=_POINT)
        for i, axis in enumerate('xyz'):
            cloud[axis][0] = points[:, i]
        scan = build.point_cloud(cloud, build.header(stamp_ns, LIDAR))
        self._put('/lidar/points', scan, stamp_ns)

    def _put_pose(self, frame: SimulatedFrame, stamp_ns: int) -> None:
        """Where the car is on the road, how it stands on its springs, and how fast it goes."""
        # Both frames have REP 103 body axes; the drive's are optical ones.
        turn = frame.car_to_world[:3, :3] @ _OPTICAL_TO_BODY.T
        where, heading = frame.car_to_world[:3, 3].tolist(), _quaternion(turn)
        sprung = frame.car.body
        up = (_OPTICAL_TO_BODY @ sprung[:3, 3]).tolist()
        lean = _quaternion(_OPTICAL_TO_BODY @ sprung[:3, :3] @ _OPTICAL_TO_BODY.T)
        transforms = [(stamp_ns, ODOM, BASE, where, heading), (stamp_ns, BASE, BODY, up, lean)]
        self._put('/tf', self._build.tf_message(transforms), stamp_ns)
        types = self._build.store.types
        vector = types['geometry_msgs/msg/Vector3']
        exact = np.zeros(36)
        x, y, z, w = heading
        odometry = types['nav_msgs/msg/Odometry'](
            header=self._build.header(stamp_ns, ODOM),
            child_frame_id=BASE,
            pose=types['geometry_msgs/msg/PoseWithCovariance'](
                types['geometry_msgs/msg/Pose'](
                    types['geometry_msgs/msg/Point'](*where),
                    types['geometry_msgs/msg/Quaternion'](x, y, z, w),
                ),
                exact,
            ),
            twist=types['geometry_msgs/msg/TwistWithCovariance'](
                types['geometry_msgs/msg/Twist'](
                    vector(frame.car.speed, 0.0, 0.0), vector(0.0, 0.0, frame.car.turning)
                ),
                exact,
            ),
        )
        self._put('/odom', odometry, stamp_ns)


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a rotation matrix (3, 3)."""
    vector, _ = cv2.Rodrigues(np.asarray(rotation, dtype=np.float64))
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return (0.0, 0.0, 0.0, 1.0)
    x, y, z = (float(v) for v in vector[:, 0] / angle * np.sin(angle / 2))
    return (x, y, z, float(np.cos(angle / 2)))
