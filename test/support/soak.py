"""The node at full rate for hours: memory, threads and time per frame stay as they were."""

import os
import struct
import time
from pathlib import Path

import cv2
import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from dsn_ros.bags import choose_image_topic, find_camera_info_topic, open_bag
from dsn_ros.camera import Camera
from dsn_ros.messages import camera_info_fields, compressed_to_rgb
from support.perception_process import ACTIVATE, CONFIGURE, PerceptionProcess, Robot

BAG = Path(__file__).resolve().parents[2] / 'demo' / 'street'
SIZE = 1280, 720  # pixels of what is published
RATE = 30  # Hz
OUTPUTS = {
    '/depth/image': Image,
    '/labels/image': Image,
    '/labels/confidence': Image,
    '/points': PointCloud2,
    '/obstacles': PointCloud2,
}
END = 0.1  # share of the minutes that are the beginning, and the end


def soak(folder, minutes, say):
    """Let the node with its shipped weights work for ``minutes``; figures by the minute."""
    pictures, info = _street()
    # JPEGs, as most robots have them: raw ones of this size outgrow the sockets' usual buffers.
    process = PerceptionProcess(folder, image_transport='compressed')
    robot = Robot(process.domain)
    try:
        assert robot.transition(CONFIGURE), process.said
        assert robot.transition(ACTIVATE), process.said
        camera_info = robot.publisher(CameraInfo, '/camera_info')
        images = robot.publisher(CompressedImage, '/image/compressed')
        robot.insist(camera_info, robot.messages.camera_info(info, robot.header(time.time_ns())))
        heard = {topic: _listen(robot, kind, topic) for topic, kind in OUTPUTS.items()}
        rows = []
        for minute in range(minutes):
            rows.append(_minute(process, robot, images, pictures, heard))
            say(f'\r{minute + 1} of {minutes} minutes: {rows[-1]}   ')
        code = process.stop()
        return _summary(rows, code)
    finally:
        robot.close()
        process.close()


def _listen(robot, kind, topic):
    """The list that messages on ``topic`` are appended to as bytes: this end is to stay idle."""
    heard = []
    qos = QoSProfile(depth=10)
    robot.node.create_subscription(kind, topic, heard.append, qos, raw=True)
    robot.wait(lambda: robot.node.count_publishers(topic), f'a publisher of {topic}')
    return heard


def _street():
    """The demo bag's pictures at SIZE as JPEGs, and its camera info at that size."""
    pictures, info = [], None
    with open_bag(BAG) as bag:
        topic = choose_image_topic(bag).name
        info_topic = find_camera_info_topic(bag, topic)
        for message in bag.messages([topic, info_topic]):
            content = bag.deserialize(message)
            if message.topic == topic:
                picture = cv2.resize(compressed_to_rgb(content), SIZE)[..., ::-1]
                pictures.append(cv2.imencode('.jpg', picture)[1].tobytes())
            else:
                info = camera_info_fields(content)
    assert info is not None
    width, height = SIZE
    return pictures, Camera.from_info(info).resized(height, width).to_info()


def _minute(process, robot, images, pictures, heard):
    began = time.monotonic()
    cpu = _cpu_seconds(process)
    due, sent, late, outputs = began, 0, [], 0
    while (now := time.monotonic()) < began + 60:
        if now >= due:
            stamp = time.time_ns()
            picture = pictures[sent % len(pictures)]
            images.publish(robot.messages.compressed_image(picture, 'jpeg', robot.header(stamp)))
            sent, due = sent + 1, max(due + 1 / RATE, now)
        for _ in OUTPUTS:  # even where this end is late
            robot.executor.spin_once(timeout_sec=max(0.0, min(due - time.monotonic(), 0.005)))
        for depth in heard['/depth/image']:
            seconds, nanoseconds = struct.unpack_from('<iI', depth, 4)  # behind CDR's header
            late.append((time.time_ns() - seconds * 10**9 - nanoseconds) / 1e6)
        outputs += sum(len(each) for each in heard.values())
        for each in heard.values():
            each.clear()
    assert process.alive, process.said
    assert late, f'a minute without depth: {process.said}'
    return {
        'sent': sent,
        'frames': len(late),
        'outputs': outputs,
        'latency_ms': [round(float(np.percentile(late, q)), 1) for q in (50, 95, 99)],
        'cpu_ms_a_frame': round(1e3 * (_cpu_seconds(process) - cpu) / len(late), 1),
        **process.held(),
    }


def _cpu_seconds(process):
    fields = Path(f'/proc/{process.process.pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def _summary(rows, code):
    count = max(1, round(END * len(rows)))

    def median(part, key):
        return [round(float(v), 1) for v in np.median([np.ravel(r[key]) for r in part], axis=0)]

    settled = rows[count:] or rows
    minutes = np.arange(len(settled))
    resident = [row['resident_mb'] for row in settled]
    growth = float(np.polyfit(minutes, resident, 1)[0]) if len(settled) > 2 else 0.0
    keys = ('latency_ms', 'cpu_ms_a_frame', 'resident_mb', 'threads', 'files')
    return {
        'minutes': len(rows),
        'sent': sum(row['sent'] for row in rows),
        'frames': sum(row['frames'] for row in rows),
        'outputs': sum(row['outputs'] for row in rows),
        'begin': {key: median(rows[:count], key) for key in keys},
        'end': {key: median(rows[-count:], key) for key in keys},
        'growth_mb_an_hour': round(60 * growth, 2),
        'exit_code': code,
    }
