"""Unpaired crops: which part of which frame, the same whenever it is asked for."""

import numpy as np
import pytest
from support.frame_store_factory import write_store

torch = pytest.importorskip('torch', reason='torch is not installed')

from dsn_core.errors import ConfigError, UserError
from dsn_core.training.unpaired import UnpairedCrops

HEIGHT, WIDTH = 40, 96


def ramps(count, blue):
    """Frames whose red tells the column, whose green tells the row, whose blue the frame."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    return [
        np.stack([u * 2, v * 4, np.full_like(u, blue + 10 * i)], axis=-1).astype(np.uint8)
        for i in range(count)
    ]


class Frames:
    """A store in memory: what JPEG would do to the ramps is of no interest here."""

    height, width = HEIGHT, WIDTH

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def name(self, i):
        return f'{i:06d}'

    def image(self, i):
        return self.pictures[i]


def crops(load_height=HEIGHT, crop=(32, 36), samples=200, seed=3, night=5):
    return UnpairedCrops(
        Frames(ramps(3, 0)),
        Frames(ramps(night, 100)),
        load_height=load_height,
        crop=crop,
        samples=samples,
        seed=seed,
    )


def as_bytes(tensor):
    return ((tensor.numpy().astype(np.float64) + 1) * 127.5).round().astype(int)


def test_a_crop_is_a_window_of_its_frame_and_as_often_mirrored_as_not():
    samples = crops()
    mirrored, places = 0, set()
    for i in range(len(samples)):
        for domain, first in (('day', 0), ('night', 100)):
            sample = samples[i]
            image = as_bytes(sample[domain])
            assert image.shape == (3, 32, 36)
            assert sample[domain].dtype == torch.float32
            steps = np.diff(image[0], axis=1)
            assert (steps == 2).all() or (steps == -2).all()
            assert (np.diff(image[1], axis=0) == 4).all()
            assert (image[2] == first + 10 * int(sample[f'{domain}_name'][-6:])).all()
            mirrored += bool(steps[0, 0] < 0)
            places.add((image[0].min() // 2, image[1].min() // 4))
    assert 0.4 < mirrored / (2 * len(samples)) < 0.6
    columns, rows = (set(p) for p in zip(*places, strict=True))
    assert rows == set(range(HEIGHT - 32 + 1))
    assert {0, WIDTH - 36} < columns <= set(range(WIDTH - 36 + 1))


def test_frames_are_drawn_evenly_and_apart_from_each_other():
    samples = crops(samples=600)
    pairs = [(samples[i]['day_name'], samples[i]['night_name']) for i in range(len(samples))]
    counts = [
        pairs.count((f'day/00000{d}', f'night/00000{n}')) for d in range(3) for n in range(5)
    ]
    assert sum(counts) == 600
    assert all(20 <= c <= 65 for c in counts)  # 40 expected, standard deviation 6


def test_a_sample_is_the_same_whenever_it_is_asked_for():
    first, second, other = crops()[17], crops()[17], crops(seed=4)[17]
    assert first['index'] == 17
    for domain in ('day', 'night'):
        assert torch.equal(first[domain], second[domain])
        assert first[f'{domain}_name'] == second[f'{domain}_name']
    assert any(not torch.equal(first[d], other[d]) for d in ('day', 'night'))


@pytest.mark.parametrize('load_height', [20, 80])
def test_frames_are_resized_before_they_are_cropped(load_height):
    samples = crops(load_height, (load_height, load_height * WIDTH // HEIGHT), samples=20)
    for i in range(20):
        image = as_bytes(samples[i]['day'])
        # The whole frame is in the crop: it spans all columns and rows of the frame.
        assert image.shape[1:] == (load_height, load_height * 12 // 5)
        for channel, last in ((0, 2 * (WIDTH - 1)), (1, 4 * (HEIGHT - 1))):
            assert image[channel].min() <= 4
            assert image[channel].max() >= last - 4


def test_stored_frames(tmp_path):
    day = write_store(tmp_path / 'day', ramps(2, 0))
    night = write_store(tmp_path / 'night', ramps(1, 200))
    sample = UnpairedCrops(day, night, load_height=40, crop=(40, 96), samples=1, seed=0)[0]
    assert sample['night_name'] == 'night/000000'
    assert abs(as_bytes(sample['night'])[2] - 200).mean() < 3


def test_what_cannot_be_cropped_is_said():
    with pytest.raises(ConfigError, match=r'^translate.crop must be at most 96 wide.*day frames'):
        crops(crop=(32, 100))
    with pytest.raises(UserError, match='no night frames'):
        crops(night=0)
