"""Day, dusk and night: what a picture looks like, and when the condition changes."""

import time

import cv2
import numpy as np
import pytest
from support.drive_factory import write_drive

from dsn_ros import lighting_fit
from dsn_ros.lighting import Lighting, LightingModel, lighting_features
from dsn_ros.lighting_fit import Samples, confusion, fit

SECOND = 1_000_000_000


def street(sky, ground, lamps=0, height=320, width=576):
    """A plain sky over a plain ground, grey values, with bright lamps in the lower half."""
    image = np.full((height, width, 3), ground, np.uint8)
    image[: height // 2] = sky
    for lamp in range(lamps):
        left = 20 + 60 * lamp
        image[height // 2 + 20 : height // 2 + 32, left : left + 12] = 250
    return image


DAY, DUSK, NIGHT = street(190, 110), street(95, 38), street(4, 30, lamps=6)


def feed(lighting, pictures, rate, start=0):
    """Conditions of pictures that follow each other at ``rate`` Hz."""
    return [
        lighting.update(image, start + round(index / rate * SECOND)).condition
        for index, image in enumerate(pictures)
    ]


@pytest.mark.parametrize(('image', 'condition'), [(DAY, 'day'), (DUSK, 'dusk'), (NIGHT, 'night')])
def test_the_first_frame_decides_at_once(image, condition):
    state = Lighting().update(image, 5 * SECOND)
    assert (state.condition, state.seen) == (condition, condition)


def test_darkness_grows_from_day_to_night():
    day, dusk, night = (Lighting().update(i, 0).darkness for i in (DAY, DUSK, NIGHT))
    assert 0 <= day < 0.25 < dusk < 0.75 < night <= 1


def test_a_night_camera_that_turns_up_its_gain_still_sees_night():
    rng = np.random.default_rng(3)
    brighter = NIGHT.astype(np.float64) * 2 + rng.normal(0, 6, NIGHT.shape)
    assert Lighting().update(np.clip(brighter, 0, 255).astype(np.uint8), 0).condition == 'night'


@pytest.mark.parametrize('rate', [1.0, 10.0, 30.0])
def test_another_condition_holds_for_two_seconds_before_it_counts(rate):
    lighting = Lighting(hold=2.0)
    frames = round(4 * rate)
    feed(lighting, [DAY] * frames, rate)
    tunnel = feed(lighting, [NIGHT] * frames, rate, start=4 * SECOND)
    late = tunnel.index('night') / rate  # seconds after the first dark frame
    assert late == pytest.approx(2.0, abs=1e-6)
    assert set(tunnel[tunnel.index('night') :]) == {'night'}
    out = feed(lighting, [DAY] * frames, rate, start=8 * SECOND)
    assert out.index('day') / rate == pytest.approx(2.0, abs=1e-6)


def test_a_short_bridge_changes_nothing():
    lighting = Lighting(hold=2.0)
    frames = ([DAY] * 10 + [NIGHT] * 15) * 4  # 1.5 s of dark at 10 Hz, again and again
    assert set(feed(lighting, frames, 10.0)) == {'day'}


def test_what_most_frames_looked_like_meanwhile_takes_over():
    lighting = Lighting(hold=1.0)
    frames = [DAY] * 3 + [DUSK] * 2 + [NIGHT] * 7 + [DUSK] * 3
    assert feed(lighting, frames, 10.0)[13:] == ['night', 'night']


def test_without_hold_each_picture_stands_for_itself():
    lighting = Lighting(hold=0)
    assert [lighting.update(i, 0).condition for i in (DAY, NIGHT, DAY)] == ['day', 'night', 'day']


def test_a_jump_back_in_time_begins_anew():
    lighting = Lighting()
    feed(lighting, [DAY] * 20, 10.0, start=100 * SECOND)
    assert lighting.update(NIGHT, 5 * SECOND).condition == 'night'


def test_frames_a_little_out_of_order_are_no_jump():
    lighting = Lighting()
    feed(lighting, [DAY] * 20, 10.0, start=100 * SECOND)
    assert lighting.update(NIGHT, 101_800_000_000).condition == 'day'


def test_forgetting_begins_anew():
    lighting = Lighting()
    feed(lighting, [DAY] * 20, 10.0)
    lighting.forget()
    assert lighting.update(NIGHT, 3 * SECOND).condition == 'night'


def test_hold_must_be_a_time():
    for hold in (-1.0, float('inf'), float('nan')):
        with pytest.raises(ValueError, match='hold'):
            Lighting(hold)


def test_features_of_a_picture_one_can_work_out():
    # 640 x 1140 shrinks tenfold, without mixing: 21 of 64 rows are the upper third.
    image = np.full((640, 1140, 3), 20, np.uint8)
    image[:210] = 200
    expected = [
        20 / 255,
        20 / 255,
        200 / 255,
        43 / 64,
        np.log((200 / 255 + 0.03) / (20 / 255 + 0.03)),
    ]
    assert lighting_features(image) == pytest.approx(expected)


@pytest.mark.parametrize('shape', [(1, 1), (2, 999), (97, 131), (1080, 1920)])
def test_pictures_of_any_size_are_taken(shape):
    features = lighting_features(np.full((*shape, 3), 77, np.uint8))
    assert features == pytest.approx([77 / 255, 77 / 255, 77 / 255, 0, 0])


def test_fit_finds_what_the_samples_were_drawn_from():
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 3, 3000)
    features = rng.normal(0, 1, (3000, 5))
    features[:, 1] -= 3.0 * truth  # only the median tells
    model = fit(Samples(features, truth))
    table = confusion(model, Samples(features, truth))
    assert table.sum(axis=1).tolist() == np.bincount(truth).tolist()
    assert np.diag(table).sum() / table.sum() > 0.87
    assert abs(model.weights[1]) > 10 * np.abs(np.delete(model.weights, 1)).max()
    assert model.weights[1] < 0 < model.limits[1] - model.limits[0]


def test_the_command_fits_drives_and_says_how_well(tmp_path, monkeypatch, capsys):
    for split in ('train', 'validation', 'test'):
        for condition in ('day', 'dusk', 'night'):
            write_drive(tmp_path, f'{split}_{condition}', split, condition, frames=2)
    monkeypatch.setattr('sys.argv', ['lighting_fit', str(tmp_path)])
    lighting_fit.main()
    said = capsys.readouterr().out
    assert said.startswith('MODEL = LightingModel(weights=(')
    assert [line.split(':')[0] for line in said.splitlines() if ':' in line] == [
        'train',
        'validation',
        'test',
    ]
    # The factory draws dusk as bright as day, night darker.
    assert '[0 0 2]' in said


def test_the_model_s_answers_are_shares():
    model = LightingModel((1.0, 0, 0, 0, 0), (1.0, 3.0))
    darker = model.darker(np.array([[2.0, 0, 0, 0, 0], [1e6, 0, 0, 0, 0]]))
    assert darker[0] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    assert darker[1] == pytest.approx([1, 1])


def test_it_takes_no_time():
    lighting, times = Lighting(), []
    for index in range(50):
        start = time.process_time()
        lighting.update(NIGHT, index)
        times.append(time.process_time() - start)
    assert min(times) < 2e-3  # 0.2 ms on an idle core


def read(files):
    pictures = [cv2.imread(str(each)) for each in files]
    return [np.ascontiguousarray(each[..., ::-1]) for each in pictures]


@pytest.mark.parametrize(
    ('pattern', 'condition', 'least'),
    [
        ('carnd_highway_day/image/*.jpg', 'day', 0.75),
        ('night_zimmer/image/*.jpg', 'night', 1.0),
        ('camvid/train/0001TP_*.jpg', 'dusk', 0.8),
        ('camvid/train/0006R0_*.jpg', 'day', 0.75),
    ],
)
def test_real_pictures(shared_data, pattern, condition, least):
    files = sorted(shared_data.glob(pattern))[::10]
    assert files
    lighting = Lighting(hold=0)
    said = [lighting.update(each, 0).condition for each in read(files)]
    assert said.count(condition) / len(said) >= least
