"""Outputs are, to the bit, what the plainest arithmetic gives, whatever the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_outputs import plain_cloud, plain_confidence, plain_faults, plain_obstacles
from support.stand_in_engine import HEIGHT, WIDTH, StandInEngine

from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_ros.camera import Camera
from dsn_ros.cloud import organised_cloud
from dsn_ros.confidence import dimmed_in_the_dark
from dsn_ros.grey import as_grey
from dsn_ros.lighting import Lighting, LightingState, lighting_features
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.pipeline import Frame, Perception, Pipeline, PipelineOptions
from dsn_ros.sanity import Sanity
from dsn_ros.scale import Scale, ScaleOptions

IS_OBSTACLE = obstacle_classes(CITYSCAPES.names)
SEEDS = st.integers(0, 2**32 - 1)


def patches(rng, shape, low, high, edge):
    """Whole numbers that stay the same over patches, as labels do."""
    height, width = shape
    small = rng.integers(low, high, (-(-height // edge), -(-width // edge)))
    return small.repeat(edge, 0).repeat(edge, 1)[:height, :width]


def drawn(seed, shape=None, lens=False):
    """A perception of any size with many equal depths, and some that are none."""
    rng = np.random.default_rng(seed)
    height, width = shape or rng.integers(5, 90, 2).tolist()
    labels = patches(rng, (height, width), 0, 20, int(rng.integers(1, 9))).astype(np.uint8)
    labels[labels == 19] = UNLABELLED
    depth = rng.integers(-2, 60, (height, width)).astype(np.float32) / 4
    depth[patches(rng, depth.shape, 0, 12, 7) == 0] = 6
    depth[rng.random(depth.shape) < 0.05] = np.nan
    depth[rng.random(depth.shape) < 0.05] = np.inf
    focal = float(rng.uniform(0.6, 3)) * width
    camera = Camera.pinhole(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    if lens:  # whose inverse is not known in the corners
        d = (-0.9, 0.2, 0.0, 0.0, 0.0)
        camera = Camera(height, width, 'plumb_bob', d, camera.k, camera.r, camera.p)
    return Perception(
        image=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        depth=depth,
        labels=labels,
        confidence=rng.integers(0, 256, (height, width), dtype=np.uint8),
        stamp_ns=1,
        frame_id='camera',
        camera=camera,
        scale=Scale(1.0, True, 'test'),
        lighting=LightingState('day', 0.0, 'day'),
        latency_ms={},
    )


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, lens=st.booleans())
def test_the_cloud(seed, lens):
    seen = drawn(seed, lens=lens)
    assert organised_cloud(seen).tobytes() == plain_cloud(seen).tobytes()


def test_the_cloud_of_a_picture_that_is_filled_in_parts():
    seen = drawn(5, (101, 640))
    assert organised_cloud(seen).tobytes() == plain_cloud(seen).tobytes()


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    lens=st.booleans(),
    voxel=st.sampled_from([0.01, 0.1, 0.5, 2.0]),
    max_range=st.sampled_from([2.0, 9.0, 1000.0]),
    min_confidence=st.sampled_from([0.0, 0.3]),
    max_points=st.sampled_from([7, 10**6]),
)
def test_obstacles(seed, lens, voxel, max_range, min_confidence, max_points):
    seen = drawn(seed, lens=lens)
    options = ObstacleOptions(max_range, min_confidence, voxel, max_points)
    quick = obstacle_cloud(seen, IS_OBSTACLE, options)
    assert quick.tobytes() == plain_obstacles(seen, IS_OBSTACLE, options).tobytes()


@pytest.mark.parametrize('voxel', [0.2, 1.0, 20.0])
def test_obstacles_of_a_picture_that_is_looked_at_in_strips(voxel):
    seen = drawn(6, (203, 640))
    options = ObstacleOptions(20.0, 0.0, voxel)
    quick = obstacle_cloud(seen, IS_OBSTACLE, options)
    assert quick.size
    assert quick.tobytes() == plain_obstacles(seen, IS_OBSTACLE, options).tobytes()


def shaded(seed):
    """A picture whose parts are black, dim, bright, even or rough."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(9, 200, 2).tolist())
    level = patches(rng, shape, 0, 9, int(rng.integers(4, 40)))
    brightness = rng.choice([0, 0, 4, 12, 40, 120, 255, 255, 300], 9)[level]
    noise = rng.choice([0, 1, 3, 30, 90], 9)[level]
    image = brightness[..., None] + noise[..., None] * rng.standard_normal((*shape, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_confidence_in_the_dark_and_in_the_light(seed):
    image = shaded(seed)
    confidence = np.random.default_rng(seed).integers(0, 256, image.shape[:2], dtype=np.uint8)
    expected = plain_confidence(confidence, image)
    np.testing.assert_array_equal(dimmed_in_the_dark(confidence, image), expected)
    np.testing.assert_array_equal(dimmed_in_the_dark(confidence, as_grey(image)), expected)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, spread=st.sampled_from([0.0, 0.019, 0.021, 0.4]), bad=st.booleans())
def test_what_speaks_against_a_frame(seed, spread, bad):
    rng = np.random.default_rng(seed)
    image = shaded(seed)
    shape = image.shape[:2]
    depth = (5 * (1 + spread * rng.random(shape))).astype(np.float32)
    if bad:
        depth[0, 0] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -5.0])
    labels = np.full(shape, rng.choice([0, UNLABELLED]), np.uint8)
    labels[:, : int(rng.integers(0, 20))] = 3
    expected = plain_faults(image, depth, labels)
    assert set(Sanity().look(image, 1, depth, labels)) == expected
    assert set(Sanity().look(image, 1, depth, labels, as_grey(image))) == expected


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_light_of_a_picture_that_is_grey_already(seed):
    image = shaded(seed)
    np.testing.assert_array_equal(lighting_features(image), lighting_features(as_grey(image)))
    assert Lighting().update(image, 1) == Lighting().update(as_grey(image), 1)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, factor=st.sampled_from([1.0, 0.37, 12.5]))
def test_depth_is_the_network_s_times_the_scale_and_sky_is_infinitely_far(seed, factor):
    image = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    engine = StandInEngine()
    answer = engine.infer(image[None])
    before = [each.copy() for each in answer]
    options = PipelineOptions(scale=ScaleOptions('fixed', factor))
    pipeline = Pipeline(engine, options)
    seen = pipeline.finish(pipeline.show(Frame(image)), answer, 0, 0.0)
    is_sky = answer.labels[0] == engine.metadata.class_names.index('sky')
    expected = np.where(is_sky, np.float32(np.inf), answer.depth[0] * np.float32(factor))
    np.testing.assert_array_equal(seen.depth, expected)
    for now, then in zip(answer, before, strict=True):
        np.testing.assert_array_equal(now, then)
