"""Picture files: their order, the recordings that their names tell apart, what is in them."""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from dsn_core.data.picture_file import clips, list_pictures, natural, read_picture, to_rgb
from dsn_core.errors import UserError


def lengths(*names):
    """How many pictures each clip of ``names`` has."""
    return [len(clip) for clip in clips([Path(f'{n}.jpg') for n in sorted(names, key=natural)])]


def test_order_is_that_of_the_numbers():
    expected = ['1.png', '2.png', '10.png', 'a1b9.png', 'a1b10.png', 'a2b1.png', 'b.png']
    shuffled = random.Random(0).sample(expected, len(expected))
    assert sorted(shuffled, key=natural) == expected


def test_lists_pictures_only(tmp_path):
    for name in ('b2.jpg', 'b10.PNG', 'a.txt', '.hidden.jpg'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'folder.jpg').mkdir()
    assert [p.name for p in list_pictures(tmp_path)] == ['b2.jpg', 'b10.PNG']
    assert list_pictures(tmp_path / 'nothing') == []


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['000', '001', '002'], [3]),
        (['9', '10', '11'], [3]),
        (['000', '001', '003', '004'], [4]),  # one is missing
        (['000', '001', '004', '005'], [2, 2]),  # two are
        (['f00000', 'f00030', 'f00060', 'f00150', 'f00180'], [3, 2]),
        (['small1_0', 'small1_1', 'small2_0', 'small2_1', 'cut_0', 'cut_1'], [2, 2, 2]),
        (['c1_08', 'c1_09', 'c1_10', 'c2_11', 'c2_12', 'c2_13'], [3, 3]),
        (['n1_17_left', 'n2_33_left', 'n3_50_left'], [3]),  # two counters
        (['1305031102.175304', '1305031102.211214', '1305031103.011'], [3]),
        (['morning', 'noon', 'evening'], [3]),
        (['alone_7'], [1]),
    ],
)
def test_names_tell_recordings_apart(names, expected):
    assert lengths(*names) == expected


def test_frame_numbers_count_usual_steps():
    ((first, second, third),) = clips([Path(f'x_{n}.png') for n in (30, 40, 60)])
    assert [n for _, n in (first, second, third)] == pytest.approx([0, 2 / 3, 2])


def test_red_comes_first_and_grey_has_three_channels(tmp_path):
    bgr = np.zeros((4, 5, 3), np.uint8)
    bgr[..., 2] = 200
    cv2.imwrite(str(tmp_path / 'red.png'), bgr)
    assert to_rgb(read_picture(tmp_path / 'red.png'))[0, 0].tolist() == [200, 0, 0]
    cv2.imwrite(str(tmp_path / 'grey.png'), bgr[..., 2])
    assert to_rgb(read_picture(tmp_path / 'grey.png'))[0, 0].tolist() == [200, 200, 200]
    assert read_picture(tmp_path / 'grey.png', cv2.IMREAD_UNCHANGED).shape == (4, 5)


@pytest.mark.parametrize('content', [b'', b'no picture'])
def test_damage_is_named(tmp_path, content):
    (tmp_path / 'bad.jpg').write_bytes(content)
    with pytest.raises(UserError, match=r'bad\.jpg is no whole picture'):
        read_picture(tmp_path / 'bad.jpg')
    with pytest.raises(UserError, match=r'gone\.jpg cannot be read'):
        read_picture(tmp_path / 'gone.jpg')
