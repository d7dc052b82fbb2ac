"""The command as a user types it: exit codes, one line for a mistake, help for every verb."""

import json
import subprocess
import sys

import pytest
from support.bag_factory import Recording
from typer.main import get_command
from typer.testing import CliRunner

from dsn_ros.cli import app

VERBS = sorted(get_command(app).commands)


def dsn(*args, cwd=None):
    command = [sys.executable, '-m', 'dsn_ros.cli', *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def assert_one_line_and_2(done, *named):
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    lines = [x for x in done.stderr.splitlines() if x.startswith('dsn: ')]
    assert len(lines) == 1, done.stderr
    for name in named:
        assert str(name) in lines[0]


@pytest.mark.parametrize('verb', VERBS)
def test_every_verb_has_help_with_an_example_or_a_description(verb):
    command = get_command(app).commands[verb]
    assert command.help
    for parameter in command.params:
        assert parameter.name == 'overrides' or parameter.help or parameter.name == 'help', (
            f'{verb} {parameter.name} says nothing of itself'
        )


def test_the_verbs_there_are():
    known = 'ablate bench calibrate calibrate-confidence engine evaluate export infer profile '
    known += 'replay simulate train'
    assert ' '.join(VERBS) == known


def test_engine_list_gives_a_reason_for_each():
    done = dsn('engine', '--list')
    assert done.returncode == 0
    for name in ('tensorrt', 'torch', 'onnxruntime', 'openvino'):
        assert name in done.stdout


def test_engine_list_shows_the_reason_to_the_letter(monkeypatch):
    import dsn_ros.engines

    why = "torch is not installed: pip install 'dsn_ros[train]'"
    status = dsn_ros.engines.EngineStatus('torch', 'CPU', False, why)
    monkeypatch.setattr(dsn_ros.engines, 'list_engines', lambda: [status])
    shown = CliRunner().invoke(app, ['engine', '--list']).stdout
    assert "'dsn_ros[train]'" in ' '.join(shown.replace('│', ' ').split())


@pytest.mark.slow
def test_profile_json():
    pytest.importorskip('torch', reason='torch is not installed')
    done = dsn('profile', '--json')
    assert done.returncode == 0
    parts = json.loads(done.stdout)['parts']
    assert round(parts['total']['thop_gmacs'], 3) == parts['total']['paper_gmacs'] == 38.884


def test_profile_of_a_variant_that_there_is_not():
    pytest.importorskip('torch', reason='torch is not installed')
    assert_one_line_and_2(dsn('profile', '--variant', 'heavy'), 'heavy', 'paper, lite')


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    two, depth_only, good = Recording(), Recording(), Recording()
    two.frames('/left/image', 2)
    two.frames('/right/image', 2)
    two.write(folder / 'two')
    depth_only.depth('/depth/image')
    depth_only.write(folder / 'depth_only')
    good.frames('/camera/image', 3, info='/camera/camera_info')
    good.write(folder / 'good')
    (folder / 'empty').mkdir()
    return folder


@pytest.mark.parametrize(
    ('bag', 'named'),
    [
        ('missing', ['missing']),
        ('empty', ['empty']),
        ('two', ['/left/image', '/right/image', '--topic']),
        ('depth_only', ['/depth/image']),
    ],
)
def test_bags_that_cannot_be_replayed(bags, tiny_model, tmp_path, bag, named):
    done = dsn('replay', bags / bag, '--out', tmp_path / 'out', '--model', tiny_model)
    assert_one_line_and_2(done, *named)
    assert not list(tmp_path.rglob('*.*'))


def test_replay_and_infer_end_well(bags, tiny_model, tmp_path):
    out = tmp_path / 'out'
    done = dsn('replay', bags / 'good', '--out', out, '--model', tiny_model)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in out.iterdir()} == {'perception.mcap', 'metrics.json', 'report.html'}
    assert json.loads((out / 'metrics.json').read_text())['frames_out'] == 3
    assert 'report.html' in done.stdout


@pytest.mark.parametrize('kind', ['text', 'missing', 'truncated'])
def test_models_that_cannot_be_loaded(bags, tiny_model, tmp_path, kind):
    model = tmp_path / 'model.onnx'
    if kind == 'text':
        model.write_text('no model')
    elif kind == 'truncated':
        model.write_bytes(tiny_model.read_bytes()[:500_000])
    done = dsn('replay', bags / 'good', '--out', tmp_path / 'out', '--model', model)
    assert_one_line_and_2(done, 'model.onnx')
    assert not (tmp_path / 'out').exists()


def test_an_output_that_cannot_be_written(bags, tiny_model, tmp_path):
    (tmp_path / 'out').write_text('in the way')
    done = dsn('replay', bags / 'good', '--out', tmp_path / 'out', '--model', tiny_model)
    assert_one_line_and_2(done, tmp_path / 'out', '--out')


@pytest.mark.parametrize(
    ('args', 'named'),
    [
        (('export', 'no.safetensors', '--out', 'm.onnx'), 'no.safetensors'),
        (('train', 'no.yaml'), 'no.yaml'),
        (('infer', 'no.jpg', '--out', 'out'), 'no.jpg'),
        (('infer', 'no.jpg', '--out', 'out', '--ignore', 'blue'), '--ignore blue'),
        (('engine', 'no.onnx'), 'no.onnx'),
        (('engine', '--engine', 'abacus'), 'abacus'),
        (('engine', '--precision', 'fp7'), 'fp7'),
    ],
)
@pytest.mark.slow
def test_other_mistakes(tmp_path, tiny_model, args, named):
    if args[0] in ('export', 'train'):
        pytest.importorskip('torch', reason='torch is not installed')
        pytest.importorskip('lightning', reason='lightning is not installed')
    if args[0] == 'infer':
        args = (*args, '--model', tiny_model)
    assert_one_line_and_2(dsn(*args, cwd=tmp_path), named)
    assert not list(tmp_path.glob('*'))


def test_unknown_verb_or_option_is_code_2():
    assert dsn('fly').returncode == 2
    assert dsn('replay').returncode == 2
