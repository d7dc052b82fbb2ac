"""The examples run as a user would run them, and what they say and write is right."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('onnxruntime', reason='no engine is installed')

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / 'examples'
BAG = ROOT / 'demo' / 'street'


def run(name, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def street(tmp_path_factory):
    """A picture of the demo bag, 320 x 576 or what it has, as a file."""
    from dsn_ros.bags import choose_image_topic, open_bag
    from dsn_ros.compressed_images import compressed_to_rgb

    file = tmp_path_factory.mktemp('street') / 'street.png'
    with open_bag(BAG) as bag:
        first = next(iter(bag.messages([choose_image_topic(bag).name])))
        cv2.imwrite(str(file), compressed_to_rgb(bag.deserialize(first))[..., ::-1])
    return file


def test_every_script_is_here_and_short():
    here = {file.name for file in EXAMPLES.glob('*.py')}
    tested = set(re.findall(r"run\('(\w+\.py)'", Path(__file__).read_text()))
    listed = set(re.findall(r'\]\((\w+\.py)\)', (EXAMPLES / 'README.md').read_text()))
    assert here == tested == listed
    assert all(len(f.read_text().splitlines()) <= 70 for f in EXAMPLES.glob('*.py'))


def test_a_picture(street, tmp_path):
    metric = run('picture.py', street, tmp_path, '--fov', 70)
    depth = np.load(tmp_path / 'depth.npy')
    picture = cv2.imread(str(street))
    assert depth.shape == picture.shape[:2]
    assert depth.dtype == np.float32
    assert cv2.imread(str(tmp_path / 'overlay.png')).shape == picture.shape
    near = float(re.search(r'nearest 5 %: ([\d.]+) m;', metric).group(1))
    assert near == pytest.approx(np.percentile(depth[np.isfinite(depth)], 5), abs=0.06)
    assert 'road' in metric
    assert 'units (' in run('picture.py', street, tmp_path)


def test_a_bag():
    lines = run('bag.py', BAG, '--frames', 3).splitlines()
    assert len(lines) == 3
    for line in lines:
        points, near = re.search(
            r': (\d+) obstacle points, the nearest at ([\d.]+) m', line
        ).groups()
        assert int(points) > 0
        assert 0 < float(near) <= 30


def test_a_webcam(street, tmp_path):
    picture = cv2.imread(str(street))
    size = picture.shape[1], picture.shape[0]
    video = cv2.VideoWriter(str(tmp_path / 'in.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 10.0, size)
    for shift in range(3):
        video.write(np.roll(picture, shift, axis=1))
    video.release()
    assert '3 frames' in run('webcam.py', tmp_path / 'in.avi', '--out', tmp_path / 'out.avi')
    seen = cv2.VideoCapture(str(tmp_path / 'out.avi'))
    there, frame = seen.read()
    assert there
    assert frame.shape[1] == 3 * round(frame.shape[0] * 1.8)
    run('webcam.py', tmp_path / 'none.avi', code=2)


def test_a_label_set_of_one_s_own(street, tmp_path):
    said = run('own_label_set.py', street, tmp_path / 'ours.png')
    shares = {n: float(v) for n, v in re.findall(r'^([\w ]+): ([\d.]+)%$', said, re.MULTILINE)}
    assert set(shares) == {'floor', 'person', 'vehicle', 'fixture', 'in the way'}
    assert sum(shares.values()) - shares['in the way'] == pytest.approx(100, abs=0.3)
    assert shares['in the way'] == pytest.approx(100 - shares['floor'], abs=0.3)
    assert (tmp_path / 'ours.png').is_file()


@pytest.mark.slow
def test_loss_weights_of_one_s_own():
    pytest.importorskip('torch', reason='torch is not installed')
    said = run('own_loss_weights.py')
    assert 'needs: day, day_labels' in said
    totals = [float(each) for each in re.findall(r'total ([\d.]+)', said)]
    assert totals[0] == pytest.approx(np.log(19), abs=0.6)  # a fresh network knows nothing
    assert totals[-1] < 0.7 * totals[0]
