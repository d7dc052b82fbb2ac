"""Simulated drives as a ROS 2 bag: what a robot would have recorded, with the truth beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.simulation import SimulatedDrive, SimulatedFrame, SimulationOptions
from dsn_core.simulation.lidar import ABOVE_CAMERA
from dsn_ros.bag_writer import BagWriter
from dsn_ros.camera import Camera
from dsn_ros.output import staged

__all__ = ['write_simulated_bag']

START_NS = 1_767_268_800 * 10**9  # noon of 1 January 2026, UTC
GAP_NS = 10**9  # between two drives
OPTICAL, BASE, LIDAR, ODOM = 'camera_optical', 'base_footprint', 'lidar', 'odom'

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

    Topics: ``/camera/image/compressed``, ``/camera/camera_info``, ``/tf`` (odom →
    base_footprint), ``/tf_static`` (base_footprint → camera_optical, lidar), ``/lidar/points``,
    and the truth: ``/ground_truth/depth/image`` (16UC1 millimetres, 0 = sky or beyond 65.5 m),
    ``/ground_truth/labels/image`` (mono8), ``/ground_truth/condition`` (String).
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
            (stamp_ns, BASE, OPTICAL, above, mount),
            (stamp_ns, BASE, LIDAR, on_top, (0.0, 0.0, 0.0, 1.0)),
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
        # The base stands below the camera, upright to the road.
        camera_to_base = _OPTICAL_TO_BODY @ drive.mounting
        turn = frame.camera_to_world[:3, :3] @ camera_to_base.T
        position = frame.camera_to_world[:3, 3] - turn @ (0.0, 0.0, drive.camera_height)
        pose = (stamp_ns, ODOM, BASE, position.tolist(), _quaternion(turn))
        self._put('/tf', build.tf_message([pose]), stamp_ns)
        ok, jpeg = cv2.imencode('.jpg', cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), self._jpeg)
        assert ok, 'an 8-bit picture can always be encoded'
        picture = build.compressed_image(jpeg.tobytes(), 'jpeg', header)
        self._put('/camera/image/compressed', picture, stamp_ns)
        within = frame.depth < 65.535
        depth = np.where(within, frame.depth * 1000, 0).round().astype(np.uint16)
        self._put('/ground_truth/depth/image', build.image(depth, '16UC1', header), stamp_ns)
        labels = build.image(frame.labels, 'mono8', header)
        self._put('/ground_truth/labels/image', labels, stamp_ns)
        points = drive.lidar(frame) @ camera_to_base.T.astype(np.float32)
        points[:, 2] -= np.float32(ABOVE_CAMERA)
        cloud = np.empty((1, len(points)), dtype=_POINT)
        for i, axis in enumerate('xyz'):
            cloud[axis][0] = points[:, i]
        scan = build.point_cloud(cloud, build.header(stamp_ns, LIDAR))
        self._put('/lidar/points', scan, stamp_ns)


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a rotation matrix (3, 3)."""
    vector, _ = cv2.Rodrigues(np.asarray(rotation, dtype=np.float64))
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return (0.0, 0.0, 0.0, 1.0)
    x, y, z = (float(v) for v in vector[:, 0] / angle * np.sin(angle / 2))
    return (x, y, z, float(np.cos(angle / 2)))
