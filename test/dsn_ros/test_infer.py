"""Pictures, folders and videos: files of the picture's own size, and what is refused."""

import cv2
import numpy as np
import pytest
from support.bag_factory import picture
from support.stand_in_engine import SKY, StandInEngine

from dsn_ros.errors import UserError
from dsn_ros.infer import find_sources, infer


def save(path, height=50, width=70):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(height, width)[..., ::-1])
    return path


def test_every_output_has_the_picture_s_own_size(tmp_path):
    metrics = infer([save(tmp_path / 'a.jpg')], tmp_path / 'out', StandInEngine())
    depth = np.load(tmp_path / 'out' / 'a.depth.npy')
    assert (depth.shape, depth.dtype) == ((50, 70), np.float32)
    millimetres = cv2.imread(str(tmp_path / 'out' / 'a.depth.png'), cv2.IMREAD_UNCHANGED)
    assert (millimetres.shape, millimetres.dtype) == ((50, 70), np.uint16)
    finite = np.isfinite(depth) & (depth < 65.535)
    assert np.abs(millimetres[finite] - depth[finite] * 1000).max() <= 0.5
    assert not millimetres[~finite].any()
    labels = cv2.imread(str(tmp_path / 'out' / 'a.labels.png'), cv2.IMREAD_UNCHANGED)
    assert (labels.shape, labels.dtype) == ((50, 70), np.uint8)
    assert (labels[0] == SKY).all()
    overlay = cv2.imread(str(tmp_path / 'out' / 'a.overlay.png'))
    assert overlay.shape == (50, 70, 3)
    assert metrics['frames_out'] == 1
    assert (tmp_path / 'out' / 'report.html').exists()
    assert (tmp_path / 'out' / 'metrics.json').exists()


def test_folders_keep_their_shape_and_names_do_not_collide(tmp_path):
    for name in ('in/x/a.png', 'in/y/a.png', 'in/a.png', 'in/a.jpg'):
        save(tmp_path / name)
    infer([tmp_path / 'in'], tmp_path / 'out', StandInEngine())
    names = {
        p.relative_to(tmp_path / 'out').as_posix()
        for p in (tmp_path / 'out').rglob('*.labels.png')
    }
    assert names == {'x/a.labels.png', 'y/a.labels.png', 'a.labels.png', 'a_png.labels.png'}


def test_same_names_from_two_folders_do_not_collide(tmp_path):
    paths = [save(tmp_path / f'{n}/a.png') for n in 'xyz']
    assert [s.name for s in find_sources(paths)] == ['a', 'a_png', 'a_png_2']


def test_video_frames_have_their_times(tmp_path):
    path = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (70, 50))
    if not writer.isOpened():
        pytest.skip('this OpenCV cannot write videos')
    for i in range(4):
        writer.write(picture(50, 70, i))
    writer.release()
    metrics = infer([path], tmp_path / 'out', StandInEngine())
    assert metrics['frames_in'] == metrics['frames_out'] == 4
    assert sorted(p.name for p in (tmp_path / 'out' / 'drive').glob('*.npy')) == [
        f'{i:06d}.depth.npy' for i in range(4)
    ]


def test_a_broken_picture_is_counted_and_skipped(tmp_path):
    save(tmp_path / 'in' / 'a.jpg')
    (tmp_path / 'in' / 'b.jpg').write_bytes(b'\xff\xd8\xff no')
    metrics = infer([tmp_path / 'in'], tmp_path / 'out', StandInEngine())
    assert (metrics['frames_in'], metrics['frames_out']) == (2, 1)
    assert metrics['dropped'] == {'undecodable image': 1}
    assert any('b.jpg' in p for p in metrics['problems'])


@pytest.mark.parametrize('fault', ['missing', 'empty folder', 'other file', 'only broken'])
def test_what_is_refused_leaves_nothing(tmp_path, fault):
    path = tmp_path / 'x.jpg'
    if fault == 'empty folder':
        path.mkdir()
    elif fault == 'other file':
        path = tmp_path / 'x.txt'
        path.write_text('hello')
    elif fault == 'only broken':
        path.write_text('hello')
    with pytest.raises(UserError, match=r'x\.') as caught:
        infer([path], tmp_path / 'out', StandInEngine())
    assert '\n' not in str(caught.value)
    assert not list((tmp_path / 'out').glob('*'))
