"""A costmap made of the published messages is the street that the camera saw."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.nav2_layers import ObstacleLayer, SemanticLayer, positions, to_map
from support.nav2_street import (
    CAMERA,
    CAR_AHEAD,
    FRAME,
    HEIGHT,
    STREET,
    WIDTH,
    Box,
    ExactEngine,
    boxes_by_cell,
    labels_by_cell,
    look,
    robot_pose,
    write_model,
)
from support.stripes import striped

from dsn_core.labels import CITYSCAPES
from dsn_ros.camera import Camera
from dsn_ros.cloud import organised_cloud
from dsn_ros.message_builders import BagMessages
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'nav2_semantic.yaml'
OPTIONS = yaml.safe_load(CONFIG.read_text())['local_costmap']['local_costmap']['ros__parameters']
SOURCE = OPTIONS['semantic_layer']['camera']
CELL = 0.2  # metres
STAMP = 1_700_000_000_123_456_789
SURE = 200  # confidence of every pixel
PICTURE = striped(HEIGHT, WIDTH, SURE)
WITHOUT_THE_CAR = tuple(box for box in STREET if box is not CAR_AHEAD)
POSES = {
    'car': robot_pose(),
    'robot': robot_pose(x=1.3, y=0.4, yaw=-0.15, camera_height=0.6, pitch=-0.02),
}
POSE = POSES['car']


@cache
def see(boxes, robot='car'):
    engine = ExactEngine(*look(boxes, POSES[robot]))
    return Pipeline(engine).process(Frame(PICTURE, STAMP, FRAME, CAMERA))


@cache
def shown(boxes, robot, reach):
    """Ids of the classes that each cell shows."""
    return labels_by_cell(boxes, POSES[robot], CELL, reach)


def messages(seen):
    """What the node publishes of ``seen``, as a bag would hold it; by topic."""
    build = BagMessages()
    header = build.header(seen.stamp_ns, seen.frame_id)
    obstacles = obstacle_cloud(seen, obstacle_classes(CITYSCAPES.names), ObstacleOptions())
    return {
        'labels/label_info': build.label_info(CITYSCAPES.names, header),
        'labels/image': build.image(seen.labels, 'mono8', header),
        'labels/confidence': build.image(seen.confidence, 'mono8', header),
        'points': build.point_cloud(organised_cloud(seen), header),
        'obstacles': build.point_cloud(obstacles, header),
    }


def semantic_grid(pose, *frames):
    layer = SemanticLayer(SOURCE, CELL)
    for said in frames:
        layer.label_info(said['labels/label_info'])
        layer.frame(said['labels/image'], said['labels/confidence'], said['points'], pose)
    return layer.grid()


def expected_grid(robot='car', looks=1):
    """What the layer should make of the street: the highest cost of what a cell shows."""
    costs = {}
    for kind in SOURCE['class_types']:
        rule = SOURCE[kind]
        cost = rule['max_cost'] if looks >= rule['samples_to_max_cost'] else rule['base_cost']
        costs |= {CITYSCAPES.id_of(name): cost for name in rule['classes']}
    cells = shown(STREET, robot, SOURCE['max_obstacle_distance'])
    return {cell: max(costs[label] for label in labels) for cell, labels in cells.items()}


def assert_same_street(grid, expected, pose):
    """What is in the grid is right, and of what is near nothing is missing."""
    agreement = np.mean([expected.get(cell) == cost for cell, cost in grid.items()])
    assert agreement >= 0.95, f'{agreement:.1%} of {len(grid)} cells'
    near = {
        cell: cost
        for cell, cost in expected.items()
        if np.hypot(*((np.array(cell) + 0.5) * CELL - pose[:2, 3])) < 6.5
    }
    assert len(near) > 300
    found = np.mean([grid.get(cell) == cost for cell, cost in near.items()])
    assert found >= 0.95, f'{found:.1%} of {len(near)} near cells'
    for cost in (0, 254):
        cells = [cell for cell, value in near.items() if value == cost]
        assert len(cells) > 15
        share = np.mean([grid.get(cell) == cost for cell in cells])
        assert share >= 0.9, f'{share:.1%} of the near cells of cost {cost}'


@pytest.mark.parametrize('robot', POSES)
def test_the_semantic_layer_builds_the_street(robot):
    pose = POSES[robot]
    grid = semantic_grid(pose, messages(see(STREET, robot)))
    assert_same_street(grid, expected_grid(robot), pose)


def test_three_looks_make_the_pavement_as_dear_as_it_gets():
    frames = [messages(replace(see(STREET), stamp_ns=STAMP + i * 10**8)) for i in range(3)]
    expected = expected_grid(looks=3)
    assert set(expected.values()) == {0, 150, 254}
    assert_same_street(semantic_grid(POSE, *frames), expected, POSE)


def test_pixel_and_point_of_one_number_are_the_same_place():
    seen = see(STREET)
    said = messages(seen)
    mask, cloud = said['labels/image'], said['points']
    assert (mask.encoding, mask.step, len(mask.data)) == ('mono8', WIDTH, WIDTH * HEIGHT)
    assert (cloud.height, cloud.width, cloud.row_step) == (
        HEIGHT,
        WIDTH,
        WIDTH * cloud.point_step,
    )
    x, y, z = positions(cloud).T.reshape(3, HEIGHT, WIDTH)
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    k = CAMERA.k
    finite = np.isfinite(z)
    np.testing.assert_allclose((k[0] * x / z + k[2])[finite], u[finite], atol=1e-3)
    np.testing.assert_allclose((k[4] * y / z + k[5])[finite], v[finite], atol=1e-3)
    sky = seen.labels == CITYSCAPES.id_of('sky')
    assert sky.any()
    np.testing.assert_array_equal(finite, ~sky)


def test_pixels_that_are_not_sure_are_nowhere_in_the_costmap():
    pipeline = Pipeline(ExactEngine(*look(STREET, POSE)))
    pipeline.options = PipelineOptions(min_confidence=0.5)
    picture = PICTURE.copy()
    picture[:, WIDTH // 2 :, 1] = 20
    seen = pipeline.process(Frame(picture, STAMP, FRAME, CAMERA))
    grid = semantic_grid(POSE, messages(seen))
    place = (np.array(list(grid)) + 0.5) * CELL - POSE[:2, 3]
    ahead, right = POSE[:2, 2], POSE[:2, 0]
    assert len(grid) > 100
    assert ((place @ right) / (place @ ahead) < 0.1).all()


def obstacle_layer():
    return ObstacleLayer(OPTIONS['obstacle_layer'], CELL)


def look_at(layer, said, pose):
    for source in layer.options['observation_sources'].split():
        layer.cloud(said[layer.options[source]['topic'].lstrip('/')], source, pose)
    return layer.update()


@pytest.mark.parametrize('robot', POSES)
def test_the_obstacle_layer_marks_the_boxes_and_nothing_else(robot):
    pose = POSES[robot]
    grid = look_at(obstacle_layer(), messages(see(STREET, robot)), pose)
    marked = {cell for cell, cost in grid.items() if cost == 254}
    assert marked <= boxes_by_cell(STREET, CELL)
    near = shown(STREET, robot, 9.0)
    obstacles = set(CITYSCAPES.with_role('obstacle'))
    wanted = {cell for cell, labels in near.items() if labels & obstacles}
    assert len(wanted) > 30
    assert len(wanted & marked) / len(wanted) >= 0.9
    free = near.keys() - wanted
    assert np.mean([grid.get(cell) == 0 for cell in free]) >= 0.95


def test_a_car_that_drove_away_is_cleared_by_the_road_behind_it():
    layer = obstacle_layer()
    look_at(layer, messages(see(STREET)), POSE)
    car = boxes_by_cell([CAR_AHEAD], CELL)
    marked = {cell for cell in car if layer.costs.get(cell) == 254}
    assert len(marked) > 8
    grid = look_at(layer, messages(see(WITHOUT_THE_CAR)), POSE)
    assert all(grid[cell] == 0 for cell in marked)
    others = boxes_by_cell(WITHOUT_THE_CAR, CELL)
    assert sum(grid.get(cell) == 254 for cell in others) > 30


def test_obstacles_alone_would_leave_the_car_standing():
    layer = obstacle_layer()
    layer.options = {**layer.options, 'observation_sources': 'obstacles'}
    look_at(layer, messages(see(STREET)), POSE)
    grid = look_at(layer, messages(see(WITHOUT_THE_CAR)), POSE)
    assert any(grid.get(cell) == 254 for cell in boxes_by_cell([CAR_AHEAD], CELL))


def test_what_is_above_the_robot_is_an_obstacle_to_the_semantic_layer_only():
    bridge = Box('building', (6.05, -3.95, 2.4), (7.95, 3.95, 3.0))
    said = messages(see((bridge,)))
    below = {cell for cell in boxes_by_cell([bridge], CELL) if abs(cell[1]) * CELL < 3}
    assert 254 not in look_at(obstacle_layer(), said, POSE).values()
    grid = semantic_grid(POSE, said)
    assert any(grid.get(cell) == 254 for cell in below)


def test_in_the_simulated_drive_lidar_stands_where_the_layer_marks():
    """The network's own training street; what is there says a ray caster, not the picture."""
    from dsn_core.simulation import SimulatedDrive, SimulationError, SimulationOptions

    pytest.importorskip('mujoco', reason='mujoco is not installed')
    options = SimulationOptions(
        height=HEIGHT, width=WIDTH, fps=0.5, colour_scale=1.0, shadow_size=0, effects=False
    )
    drive = SimulatedDrive(6, 'day', options)
    k = drive.intrinsics
    camera = Camera.pinhole(WIDTH, HEIGHT, k.fx, k.fy, k.cx, k.cy)
    try:
        frames = drive.frames(1)  # held: a scan needs the drive open
        frame = next(frames)
        scan = drive.lidar(frame).astype(np.float64)
        frames.close()
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')
    # The car's own axes: REP 103, the road below it at z = 0.
    level = np.eye(4)
    level[:3, :3] = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pose = level @ np.linalg.inv(frame.car_to_world) @ frame.camera_to_world
    engine = ExactEngine(frame.depth, frame.labels)
    seen = Pipeline(engine).process(Frame(PICTURE, STAMP, FRAME, camera))
    grid = look_at(obstacle_layer(), messages(seen), pose)
    marked = {cell for cell, cost in grid.items() if cost == 254}
    u, v = k.fx * scan[:, 0] / scan[:, 2] + k.cx, k.fy * scan[:, 1] / scan[:, 2] + k.cy
    pictured = (scan[:, 2] > 0.3) & (abs(u - WIDTH / 2) < WIDTH / 2 - 2) & (v > 2) & (v < HEIGHT)
    pictured &= np.linalg.norm(scan, axis=1) < 11
    points = to_map(scan[pictured], pose)
    cells = [tuple(c) for c in np.floor(points[:, :2] / CELL).astype(int).tolist()]
    height = {}
    for cell, z in zip(cells, points[:, 2], strict=True):
        if z < 1.8:
            height.setdefault(cell, []).append(z)
    tall = {cell for cell, z in height.items() if max(z) > 0.4}
    flat = {cell for cell, z in height.items() if max(z) < 0.05}
    around = {(x + i, y + j) for x, y in marked for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert min(len(tall), len(flat)) > 10
    assert len(tall & around) / len(tall) > 0.9
    assert len(flat & marked) / len(flat) < 0.05


@pytest.mark.slow
def test_the_node_s_topics_walked_as_the_layers_do(tmp_path):
    pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
    pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image, PointCloud2
    from support.perception_process import (
        ACTIVATE,
        CONFIGURE,
        PerceptionProcess,
        Robot,
        stamps,
    )
    from vision_msgs.msg import LabelInfo

    model = write_model(tmp_path / 'exact.onnx', *look(STREET, POSE))
    process = PerceptionProcess(tmp_path, model=model, engine='onnxruntime', threads=1)
    robot = Robot(process.domain)
    # The layers' own QoS: best effort for what a sensor sends, latched for LabelInfo.
    latched = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    wanted = {
        'labels/image': (Image, qos_profile_sensor_data),
        'labels/confidence': (Image, qos_profile_sensor_data),
        'points': (PointCloud2, qos_profile_sensor_data),
        'obstacles': (PointCloud2, qos_profile_sensor_data),
        'labels/label_info': (LabelInfo, latched),
    }
    heard = {topic: [] for topic in wanted}
    try:
        assert robot.transition(CONFIGURE), process.said
        assert robot.transition(ACTIVATE), process.said
        for topic, (kind, qos) in wanted.items():
            robot.node.create_subscription(kind, f'/{topic}', heard[topic].append, qos)
        robot.wait(lambda: heard['labels/label_info'], 'LabelInfo')
        info = robot.publisher(CameraInfo, '/camera_info')
        camera = robot.publisher(Image, '/image')
        header = robot.messages.header(STAMP, FRAME)
        robot.insist(info, robot.messages.camera_info(CAMERA.to_info(), header))
        frames = [topic for topic in wanted if topic != 'labels/label_info']
        first = robot.messages.image(PICTURE, 'rgb8', robot.messages.header(1, FRAME))
        robot.warm_up(camera, first, *(heard[topic] for topic in frames))
        camera.publish(robot.messages.image(PICTURE, 'rgb8', header))
        robot.wait(lambda: all(heard[topic] for topic in frames), 'a frame')
        said = {topic: messages[-1] for topic, messages in heard.items()}
        for topic in frames:
            assert stamps([said[topic]]) == [STAMP], topic
            assert said[topic].header.frame_id == FRAME, topic
        assert_same_street(semantic_grid(POSE, said), expected_grid(), POSE)
        grid = look_at(obstacle_layer(), said, POSE)
        marked = {cell for cell, cost in grid.items() if cost == 254}
        assert len(marked) > 30
        assert marked <= boxes_by_cell(STREET, CELL)
        assert process.stop() == 0, process.said
    finally:
        robot.close()
        process.close()


def test_obstacles_are_published_in_metres_only_and_an_empty_street_is_an_empty_cloud():
    pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
    pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
    from rclpy.lifecycle import LifecycleNode
    from sensor_msgs.msg import PointCloud2
    from support.perception_process import Robot, new_domain

    from dsn_ros.topics import OutputTopics

    robot = Robot(new_domain())
    node = LifecycleNode('perception', context=robot.context)
    try:
        robot.executor.add_node(node)
        topics = OutputTopics(node, '', ObstacleOptions)
        node.trigger_configure()
        node.trigger_activate()
        topics.publish_label_info(CITYSCAPES.names, STAMP)
        assert not topics.wanted('obstacles')
        points = robot.listen(PointCloud2, '/points')
        obstacles = robot.listen(PointCloud2, '/obstacles')
        robot.wait(lambda: topics.wanted('points') and topics.wanted('obstacles'))
        metric = see(STREET)
        topics.publish(replace(metric, scale=replace(metric.scale, metric=False)))
        robot.wait(lambda: points, 'points, whatever the unit')
        assert not obstacles
        topics.publish(metric)
        robot.wait(lambda: obstacles, 'obstacles')
        assert obstacles[0].width > 1000
        topics.publish(replace(metric, labels=np.zeros_like(metric.labels)))
        robot.wait(lambda: len(obstacles) == 2, 'that nothing is in the way')
        assert (obstacles[1].width, len(obstacles[1].data)) == (0, 0)
    finally:
        node.destroy_node()
        robot.close()
