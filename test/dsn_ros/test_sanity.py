"""What speaks against a frame: faults in good drives are found, good drives are left alone."""

import time

import cv2
import numpy as np
import pytest
from support.stand_in_engine import CAR, HEIGHT, ROAD, WIDTH, StandInEngine
from support.stripes import striped
from support.true_depth_engine import DEMO

from dsn_core.labels import UNLABELLED
from dsn_ros.bag_topics import IMAGE
from dsn_ros.bags import choose_image_topic, open_bag
from dsn_ros.camera import Camera
from dsn_ros.compressed_images import compressed_to_rgb
from dsn_ros.engines import Prediction
from dsn_ros.messages import bag_converter, image_to_rgb
from dsn_ros.parameters import parameter
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions
from dsn_ros.sanity import CHECKS, MEANING, Sanity, SanityOptions
from dsn_ros.scale import Scale, ScaleOptions

SECOND = 10**9
TENTH = SECOND // 10
DEPTH = np.linspace(1, 50, 320 * 576, dtype=np.float32).reshape(320, 576)
LABELS = np.where(DEPTH > 20, np.uint8(2), np.uint8(0))


def pictures(bag, every):
    """The n-th pictures of a bag, at 320 x 576."""
    with open_bag(bag) as opened:
        topic = choose_image_topic(opened, None)
        for number, message in enumerate(opened.messages([topic.name])):
            if number % every == 0:
                image = opened.deserialize(message)
                raw = topic.type == IMAGE
                rgb = image_to_rgb(image, bag_converter) if raw else compressed_to_rgb(image)
                yield cv2.resize(rgb, (576, 320), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope='module')
def street():
    """Day and night."""
    return list(pictures(DEMO, 8))


NOISE = np.random.default_rng(3).normal(0, 1, (320, 576, 3)).astype(np.float32)


def noisy(image, sigma):
    return np.clip(image + sigma * NOISE, 0, 255).astype(np.uint8)


def behind_something(image, share):
    """A lens with something right before it: light comes through, but no shape."""
    small = cv2.resize(image, (72, 40), interpolation=cv2.INTER_AREA)
    shapeless = cv2.GaussianBlur(small, (0, 0), 6)
    return cv2.resize(shapeless, (576, 320), interpolation=cv2.INTER_CUBIC) * np.float32(share)


FAULTS = {
    'a lens cap': ('black', lambda image: noisy(np.zeros_like(image), 4)),
    'a sensor that says nothing': ('black', np.zeros_like),
    'a black level of 8': ('black', lambda image: noisy(np.full_like(image, 8), 3)),
    'a sensor that is full': ('white', lambda image: np.full_like(image, 255)),
    'an exposure far too long': ('white', lambda i: noisy(i * np.float32(9) + 200, 1)),
    'a hand before the lens': ('covered', lambda i: noisy(behind_something(i, 0.5), 4)),
    'a wet cloth before the lens': ('covered', lambda i: noisy(behind_something(i, 0.9), 2)),
    'a lens cap and a high gain': ('covered', lambda i: noisy(np.full_like(i, 40), 8)),
}


def look(image, stamp=0, depth=DEPTH, labels=LABELS, sanity=None):
    return (sanity or Sanity()).look(image, stamp, depth, labels)


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_of_the_picture_is_found_in_its_first_frame_by_day_and_by_night(street, fault):
    name, put_in = FAULTS[fault]
    assert [look(put_in(image)) for image in street] == [(name,)] * len(street)


def test_nothing_is_said_against_the_demo_s_drives(street):
    sanity = Sanity()
    assert {look(image, i * TENTH, sanity=sanity) for i, image in enumerate(street)} == {()}


@pytest.mark.parametrize('name', ['day_highway', 'night_rural'])
def test_nothing_is_said_against_real_drives_by_day_and_by_night(shared_data, name):
    sanity, images = Sanity(), list(pictures(shared_data / 'bags' / name, 5))
    assert len(images) >= 20
    assert {look(image, i * TENTH, sanity=sanity) for i, image in enumerate(images)} == {()}


def test_a_picture_that_stands_still_is_found_after_a_second(street):
    sanity = Sanity()
    look(street[0], -SECOND, sanity=sanity)
    found = [look(street[1].copy(), i * TENTH, sanity=sanity) for i in range(15)]
    assert found == [()] * 10 + [('frozen',)] * 5
    assert look(street[2], 2 * SECOND, sanity=sanity) == ()


def test_a_slow_camera_has_to_show_the_same_five_times(street):
    sanity = Sanity()
    found = [look(street[0], i * SECOND, sanity=sanity) for i in range(6)]
    assert found == [()] * 4 + [('frozen',)] * 2


def test_a_message_that_comes_twice_and_noise_in_one_pixel_are_no_frozen_picture(street):
    sanity = Sanity()
    assert {look(street[0], 7, sanity=sanity) for _ in range(50)} == {()}
    for i in range(50):
        image = street[0].copy()
        image[i, i] ^= 1
        assert look(image, i * TENTH, sanity=sanity) == ()


def test_time_that_jumps_back_begins_anew(street):
    sanity = Sanity()
    stamps = [*range(9), 3, *range(4, 9)]  # a bag that loops, of a robot that stands
    assert {look(street[0], i * TENTH, sanity=sanity) for i in stamps} == {()}


@pytest.mark.parametrize('bad', [np.full_like(DEPTH, 7), np.zeros_like(DEPTH), -DEPTH])
def test_depth_that_is_the_same_everywhere_or_none_is_found(street, bad):
    assert look(street[0], depth=bad) == ('depth',)


def test_a_network_that_gives_numbers_that_are_none_is_found(street):
    for number in (np.nan, np.inf):
        bad = DEPTH.copy()
        bad[::2, ::2] = number
        assert look(street[0], depth=bad) == ('depth',)


def test_labels_of_one_class_are_found_and_a_network_without_labels_is_not(street):
    assert look(street[0], labels=np.full_like(LABELS, 8)) == ('labels',)
    assert look(street[0], labels=np.full_like(LABELS, UNLABELLED)) == ()
    almost = np.full_like(LABELS, 8)
    almost[:20] = 2  # a strip of sky
    assert look(street[0], labels=almost) == ()


def jumps(factors, sanity=None, step=TENTH, metric=True):
    sanity = sanity or Sanity()
    return [sanity.jumped(Scale(f, metric, 'ground'), i * step) for i, f in enumerate(factors)]


def test_a_scale_that_jumps_is_not_believed_until_it_has_held_for_two_seconds():
    assert jumps([1.0] * 5 + [2.0] * 25) == [False] * 5 + [True] * 20 + [False] * 5
    assert jumps([1.0, 0.5, 1.0, 0.5]) == [False, True, False, True]
    # Wandering is no jump, nor is what comes after a long time without any.
    assert not any(jumps(np.geomspace(1, 3, 60)))
    assert not any(jumps([1.0, 3.0], step=20 * SECOND))
    assert not any(jumps([1.0, 3.0], metric=False))


def test_a_scale_that_jumps_about_is_never_believed():
    assert all(jumps([1.0] + [2.0, 4.0, 8.0] * 20)[1:])


def test_only_what_is_asked_for_is_looked_for(street):
    black = np.zeros_like(street[0])
    assert look(black, sanity=Sanity(SanityOptions(('white', 'labels')))) == ()
    assert not any(jumps([1.0, 9.0], Sanity(SanityOptions(()))))
    loose = Sanity(SanityOptions(scale_jump=3.0))
    assert not any(jumps([1.0, 2.0], loose))
    slow = Sanity(SanityOptions(frozen_after=3.0))
    found = [look(street[0], i * TENTH, sanity=slow) for i in range(32)]
    assert found.index(('frozen',)) == 30


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'checks': ('black', 'blue')}, "sanity.checks has 'blue'"),
        ({'frozen_after': 0.0}, 'sanity.frozen_after'),
        ({'scale_jump': 1.0}, 'sanity.scale_jump'),
        ({'scale_jump': float('nan')}, 'sanity.scale_jump'),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        SanityOptions(**options)


def test_every_check_says_what_it_means():
    assert set(MEANING) == set(CHECKS)


def test_the_node_looks_for_what_the_pipeline_does():
    options = SanityOptions()
    for name in ('checks', 'frozen_after', 'scale_jump'):
        row = parameter(f'sanity.{name}')
        assert row is not None
        assert row.default == getattr(options, name)


def test_it_takes_less_than_a_millisecond(street):
    sanity, times = Sanity(), []
    for i in range(60):
        image = street[i % 2].copy()
        start = time.thread_time()
        look(image, i * TENTH, sanity=sanity)
        times.append(time.thread_time() - start)
    assert np.percentile(times, 10) < 1e-3  # of moments in which nothing else ran


class Collapsed(StandInEngine):
    """Says the same of every pixel."""

    def infer(self, images):
        seen = super().infer(images)
        return Prediction(np.full_like(seen.depth, 7), np.full_like(seen.labels, ROAD), *seen[2:])


def camera(f=50.0):
    return Camera.pinhole(WIDTH, HEIGHT, f, f, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)


@pytest.mark.parametrize('size', ['model', 'camera'])
@pytest.mark.parametrize(
    ('engine', 'image', 'faults'),
    [
        (StandInEngine(), np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8), ('black',)),
        (Collapsed(), striped(2 * HEIGHT, 2 * WIDTH), ('depth', 'labels')),
    ],
)
def test_what_speaks_against_a_frame_makes_it_say_nothing(engine, image, faults, size):
    seen = Pipeline(engine, PipelineOptions(size)).process(Frame(image))
    assert seen.faults == faults
    assert seen.depth.shape == ((HEIGHT, WIDTH) if size == 'model' else image.shape[:2])
    assert np.isnan(seen.depth).all()
    assert (seen.labels == UNLABELLED).all()
    assert (seen.confidence == 0).all()
    believed = PipelineOptions(size, sanity=SanityOptions(()))
    seen = Pipeline(engine, believed).process(Frame(image))
    assert seen.faults == ()
    assert np.isfinite(seen.depth).any()


def test_a_scale_that_jumps_takes_depth_away_and_leaves_the_labels():
    pipeline = Pipeline(StandInEngine(focal_length=50.0))
    frames = [
        Frame(striped(HEIGHT, WIDTH), i * TENTH, camera=camera(f))
        for i, f in enumerate((50.0, 50.0, 150.0))
    ]
    seen = [pipeline.process(each) for each in frames]
    assert [each.faults for each in seen] == [(), (), ('scale',)]
    assert np.isnan(seen[2].depth).all()
    assert (seen[2].labels == seen[1].labels).all()
    assert (seen[2].confidence == seen[1].confidence).all()


def test_a_scale_that_the_user_changes_has_not_jumped():
    pipeline = Pipeline(StandInEngine())
    for i, factor in enumerate((1.0, 5.0)):
        pipeline.options = PipelineOptions(scale=ScaleOptions('fixed', factor))
        assert pipeline.process(Frame(striped(HEIGHT, WIDTH), i * TENTH)).faults == ()


def test_a_frame_that_says_nothing_measures_no_scale():
    """A black picture's nonsense must not linger in the median of the frames after it."""

    options = PipelineOptions(scale=ScaleOptions('ground', camera_height=1.5, hold=1.0))
    pipeline = Pipeline(StandInEngine(), options)
    seen = pipeline.process(Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), camera=camera()))
    assert seen.scale.source == f'ground: {MEANING["black"]}'
    assert not seen.scale.measure.usable


def test_faults_are_live_options():
    pipeline = Pipeline(StandInEngine())
    image = striped(HEIGHT, WIDTH, red=255)
    image[...] = 255
    assert pipeline.process(Frame(image)).faults == ('white',)
    pipeline.options = PipelineOptions(sanity=SanityOptions(('black',)))
    seen = pipeline.process(Frame(image))
    assert seen.faults == ()
    assert (seen.labels[8:] == CAR).all()
