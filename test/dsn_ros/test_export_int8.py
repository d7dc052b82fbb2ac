"""``dsn export --precision int8``: the shipped weights, frames of every kind, and mistakes."""

import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from support.drive_factory import write_drive
from support.int8_graph import HEIGHT, WIDTH, depthwise_graph, streets
from support.one_line import one_line
from typer.testing import CliRunner

from dsn_core.int8.answers import Loss
from dsn_core.int8.quantise import quantise
from dsn_ros.bags import open_bag
from dsn_ros.cli import app
from dsn_ros.engines import default_model, list_engines, load_engine, read_model
from dsn_ros.errors import UserError
from dsn_ros.export_int8 import DEMO, export_int8
from dsn_ros.int8_frames import find_frames, read_frames
from dsn_ros.messages import compressed_to_rgb
from dsn_ros.view import resize_picture

USABLE = {status.name for status in list_engines() if status.usable}
CPU = [name for name in ('onnxruntime', 'openvino') if name in USABLE]


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp('plain') / 'plain.onnx'
    path.write_bytes(depthwise_graph().SerializeToString())
    return path


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    for index, frame in enumerate(streets(6)):
        large = cv2.resize(frame, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
        assert cv2.imwrite(str(folder / f'{index}.png'), large[..., ::-1])
    return folder


def demo_frames(*numbers):
    with open_bag(DEMO) as bag:
        (topic,) = (t for t in bag.topics.values() if t.name.endswith('compressed'))
        messages = list(bag.messages([topic.name]))
        return [compressed_to_rgb(bag.deserialize(messages[number])) for number in numbers]


@pytest.mark.slow
def test_the_shipped_weights_on_frames_of_the_demo_bag_not_calibrated_on(tmp_path):
    """All in int8: which parts to keep in float takes minutes to find out at this size."""
    plain = onnx.load(default_model())
    model = quantise(plain, demo_frames(0, 43), limit=Loss(0.08, 1.0, 0.05)).model
    out = tmp_path / 'int8.onnx'
    out.write_bytes(model.SerializeToString())
    assert out.stat().st_size < 0.8 * default_model().stat().st_size  # of weights kept as half
    images = np.stack(demo_frames(6, 35))
    with load_engine(default_model(), CPU[-1], 'fp32') as engine:
        expected = engine.infer(images)
    for name in CPU:
        with load_engine(out, name) as engine:
            assert engine.precision == 'int8'
            got = engine.infer(images)
        for i in range(2):
            error = np.abs(got.depth[i] - expected.depth[i]) / expected.depth[i]
            sure = expected.confidence[i] >= 128
            assert np.median(error) < 0.06
            assert (got.labels[i] == expected.labels[i])[sure].mean() > 0.98


@pytest.mark.parametrize('name', CPU)
def test_every_engine_takes_the_graph_and_holds_it_to_its_own_figures(
    plain, pictures, tmp_path, name
):
    out = tmp_path / 'out.onnx'
    made = export_int8(plain, out, [pictures], 6)
    about = read_model(out).metadata
    assert about.to_json() == made.metadata.to_json()
    assert about.precision == 'int8'
    frames = np.stack(streets(2, seed=50))
    with load_engine(plain, name, 'fp32') as fp32, load_engine(out, name) as int8:
        expected, got = fp32.infer(frames), int8.infer(frames)
    error = np.abs(got.depth - expected.depth) / expected.depth
    assert 0 < np.median(error) < 0.04


def test_frames_of_a_folder_are_resized_as_the_node_does(pictures):
    frames = read_frames(find_frames([pictures]), 6, HEIGHT, WIDTH)
    for frame, expected in zip(frames, streets(6), strict=True):
        assert (frame.image == expected).all()


def test_frames_are_spread_evenly_and_shared_alike(pictures, tmp_path):
    write_drive(tmp_path, 'town000001_night', 'test', 'night', frames=4)
    folders = find_frames([pictures, tmp_path, DEMO])
    assert [folder.count for folder in folders] == [6, 4, 44]
    frames = read_frames(folders, 9, HEIGHT, WIDTH)
    assert len(frames) == 9
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    first, last = demo_frames(0, 43)
    for index, picture in ((6, first), (8, last)):
        assert (frames[index].image == resize_picture(picture, HEIGHT, WIDTH)).all()
    assert frames[6].light == 'day' != frames[8].light


def test_a_picture_that_cannot_be_decoded_is_left_out_and_said(pictures, tmp_path, caplog):
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    (tmp_path / 'good.png').write_bytes((pictures / '0.png').read_bytes())
    assert len(read_frames(find_frames([tmp_path]), 2, HEIGHT, WIDTH)) == 1
    assert 'broken.png' in caplog.text
    (tmp_path / 'good.png').unlink()
    with pytest.raises(UserError, match='not one calibration frame') as caught:
        read_frames(find_frames([tmp_path]), 2, HEIGHT, WIDTH)
    one_line(caught.value)


def run(*args):
    return CliRunner().invoke(app, ['export', *map(str, args)])


def refused(done, *named):
    """The verb's UserError, which main() turns into one line and exit code 2."""
    assert isinstance(done.exception, UserError), done.output
    text = one_line(done.exception)
    for name in named:
        assert str(name) in text


def test_the_command_says_what_it_did(plain, pictures, tmp_path):
    out = tmp_path / 'new' / 'int8.onnx'
    done = run(plain, '--out', out, '--precision', 'int8', '--calibrate', pictures)
    assert done.exit_code == 0, done.output
    assert 'calibrated with 6 frames' in done.output
    assert f'{HEIGHT}x{WIDTH} int8' in done.output
    assert [path.name for path in out.parent.iterdir()] == ['int8.onnx']


@pytest.mark.parametrize('kind', ['missing', 'empty', 'text'])
def test_paths_without_frames(plain, tmp_path, kind):
    path = tmp_path / kind
    if kind == 'empty':
        path.mkdir()
    elif kind == 'text':
        path.write_text('a story')
    out = tmp_path / 'out.onnx'
    refused(run(plain, '-o', out, '--precision', 'int8', '--calibrate', path), path)
    assert not out.exists()


def test_models_and_options_that_do_not_fit(plain, pictures, tmp_path):
    int8, again = tmp_path / 'int8.onnx', tmp_path / 'again.onnx'
    export_int8(plain, int8, [pictures], 4)
    wanted = ('--precision', 'int8', '--calibrate', pictures)
    refused(run(int8, '-o', again, *wanted), int8, 'int8 graph')
    refused(run(plain, '-o', again, *wanted, '--height', 64), plain, '--height')
    refused(run(plain, '-o', again, *wanted, '--half-weights'), '--half-weights')
    refused(run(plain, '-o', again), plain, 'deploy graph already')
    refused(run(plain, '-o', again, '--calibrate', pictures), '--calibrate')
    assert not again.exists()


def test_an_installation_without_the_demo_bag_asks_for_frames(plain, tmp_path, monkeypatch):
    monkeypatch.setattr('dsn_ros.export_int8.DEMO', tmp_path / 'nothing')
    refused(run(plain, '-o', tmp_path / 'x.onnx', '--precision', 'int8'), '--calibrate PATH')


def test_a_command_line_mistake_is_one_line_and_2(plain, tmp_path):
    command = [sys.executable, '-m', 'dsn_ros.cli', 'export', str(plain), '--precision', 'int8']
    command += ['--out', str(tmp_path / 'x.onnx'), '--calibrate', str(tmp_path / 'missing')]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    (line,) = (each for each in done.stderr.splitlines() if each.startswith('dsn: '))
    assert 'missing: no such file or folder' in line
