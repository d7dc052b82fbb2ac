"""The benchmark of a tiny model: what is measured, told, skipped, and kept when stopped."""

import contextlib
import json
import subprocess
import sys
import types

import pytest

pytest.importorskip('torch', reason='torch is not installed')

from support.bench_schema import SCHEMA, assert_fits
from typer.testing import CliRunner

import dsn_ros.cli_bench
from dsn_ros.bench import PARTS, BenchOptions, bench, limits, quick, size_of
from dsn_ros.bench import engines as engines_part
from dsn_ros.bench import training as training_part
from dsn_ros.bench.peers import DEPTH_ONLY, TWO_NETWORKS
from dsn_ros.cli import app
from dsn_ros.engines import EngineError
from dsn_ros.errors import UserError

pytestmark = pytest.mark.usefixtures('one_thread', 'small_copies')


@pytest.fixture(scope='module')
def small_copies():
    """Copies of 1 MB in the place of those that no cache holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, '_COPIED', 2**20)
        yield


@pytest.fixture(scope='module')
def options(tiny_model):
    return BenchOptions(
        (tiny_model,),
        engine='onnxruntime',
        batches=(1, 2),
        rounds=2,
        turn=0.0,
        threads=1,
        camera=(96, 128),
        train_size=(64, 64),
        train_batch=1,
        gemm=(64, 2),
    )


@contextlib.contextmanager
def silent(_title):
    yield lambda done, total: None


def of_parts(options, *parts, **changes):
    return BenchOptions(**{**vars(options), 'parts': parts, **changes})


@pytest.fixture(scope='module')
def report(options):
    return bench(of_parts(options, 'limits', 'engines', 'path', 'replay', 'training'), silent)


@pytest.mark.slow
def test_the_file_holds_what_is_documented(report, tmp_path):
    report.write(tmp_path / 'deep' / 'bench.json')
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['bench.json']
    data = json.loads((tmp_path / 'deep' / 'bench.json').read_text())
    assert_fits(data, SCHEMA)
    assert data['complete']
    assert data['skipped'] == []
    assert [group['batch'] for group in data['engines']['groups']] == [1, 2]


def test_ratios_are_those_of_the_rounds_that_are_told(report):
    group = report.as_json()['engines']['groups'][0]
    rows = {row['name']: row for row in group['rows']}
    assert set(rows) == {DEPTH_ONLY, TWO_NETWORKS, 'onnxruntime fp32'}
    ours, theirs = rows['onnxruntime fp32']['ms'], rows[DEPTH_ONLY]['ms']
    expected = [a / b for a, b in zip(ours['rounds'], theirs['rounds'], strict=True)]
    told = rows['onnxruntime fp32']['ratios'][DEPTH_ONLY]
    assert told['rounds'] == pytest.approx(expected, rel=1e-3)
    assert told['median'] == pytest.approx(sum(expected) / 2, rel=1e-3)  # of two
    assert rows[DEPTH_ONLY]['ratios'][DEPTH_ONLY]['median'] == 1


def test_the_share_of_the_limit_by_hand(report):
    data = report.as_json()
    limit = data['limits']['CPU']['gemm_gflops']['fp32']['best']
    for group in data['engines']['groups']:
        for row in group['rows']:
            speed = 2 * row['gmacs'] * group['batch'] / (row['ms']['median'] / 1e3)
            assert row['gflops'] == pytest.approx(speed, rel=1e-3)
            assert row['share_of_limit'] == pytest.approx(speed / limit, rel=1e-3)


def test_around_the_network_is_everything_else(report):
    case = report.as_json()['path']['cases']['bgr8']
    stages = {name: each['median'] for name, each in case['stages_ms'].items()}
    rest = [ms for name, ms in stages.items() if name not in ('infer', 'total')]
    # Medians of parts do not add up to the median of the sum exactly.
    assert case['around_ms']['median'] == pytest.approx(sum(rest), rel=0.5)
    assert 0 < case['share_around']['median'] < 1


def test_a_replay_is_told_beside_the_network_alone(report):
    rows = report.as_json()['replay']['rows']
    ours, alone = rows['replay'], rows['network alone']
    rates = zip(alone['frames_per_s']['rounds'], ours['frames_per_s']['rounds'], strict=True)
    told = ours['of_network_alone']['rounds']
    assert told == pytest.approx([a / b for a, b in rates], rel=1e-3)
    assert ours['cpu_ms']['median'] > 0
    assert alone['of_network_alone']['median'] == 1


def test_training_is_compared_with_a_plain_loop(report):
    stages = report.as_json()['training']['stages']
    assert set(stages) == {'supervised', 'label-free'}
    for rows in stages.values():
        steps = zip(
            rows['plain loop']['step_ms']['rounds'],
            rows['this project']['step_ms']['rounds'],
            strict=True,
        )
        told = rows['this project']['speed_ratio']['rounds']
        assert told == pytest.approx([plain / ours for plain, ours in steps], rel=1e-3)
        assert rows['plain loop']['speed_ratio'] is None


def test_every_part_has_a_table(report):
    titles = ' '.join(table.title for table in report.tables())
    for word in ('limits', 'batch 1, CPU', 'batch 2, CPU', 'message to message', 'Training'):
        assert word in titles
    for table in report.tables():
        for block in table.blocks:
            assert all(len(line.cells) == len(table.columns) - 1 for line in block.lines)


@pytest.mark.slow
def test_a_start_is_measured_in_a_process_of_its_own(options):
    found = bench(of_parts(options, 'start', rounds=1), silent).as_json()['start']
    (row,) = found['rows'].values()
    assert list(found['rows']) == ['onnxruntime fp32 (CPU)']
    stages = sum(each['median'] for each in row['stages_s'].values())
    assert 0 < stages < row['first_output_s']['median']
    assert 50 < row['peak_mb']['median'] < 2000


def test_without_torch_its_parts_are_skipped_by_name(options, monkeypatch):
    for module in (engines_part, training_part):
        monkeypatch.setattr(module, 'installed', lambda name: name != 'torch')
    found = bench(of_parts(options, 'engines', 'training', batches=(1,)), silent)
    assert len(found.skipped) == 2
    for line, part in zip(found.skipped, ('peers', 'training'), strict=True):
        assert line.startswith(f'{part}: torch is not installed: pip install')
    data = found.as_json()
    assert 'training' not in data
    (row,) = data['engines']['groups'][0]['rows']
    assert row['ratios'] == {}
    assert row['share_of_limit'] is None  # limits were not measured
    with pytest.raises(UserError, match='nothing could be measured: training: torch'):
        bench(of_parts(options, 'training'), silent)


def test_where_memory_is_short_nothing_is_loaded(options, monkeypatch):
    monkeypatch.setattr(engines_part, 'available_mb', lambda: 100.0)
    found = bench(of_parts(options, 'engines', batches=(1,)), silent)
    (line,) = found.skipped
    assert line.startswith('onnxruntime fp32 (CPU), tiny.onnx: less than')
    assert {row['is_peer'] for row in found.as_json()['engines']['groups'][0]['rows']} == {True}


def stopping_after(rounds, title):
    """Shows nothing, and is where Ctrl-C comes: in the race of ``title``, after ``rounds``."""

    @contextlib.contextmanager
    def show(what):
        def progress(done, total):
            if title in what and done == rounds:
                raise KeyboardInterrupt

        yield progress

    return show


@pytest.mark.slow
def test_stopped_it_keeps_what_was_measured(options):
    wanted = of_parts(options, 'limits', 'engines', 'path', rounds=5)
    found = bench(wanted, stopping_after(2, 'batch 2'))
    assert not found.complete
    data = found.as_json()
    assert data['complete'] is False
    assert 'path' not in data
    one, two = data['engines']['groups']
    assert {len(row['ms']['rounds']) for row in one['rows']} == {5}
    assert {len(row['ms']['rounds']) for row in two['rows']} == {2}


def test_stopped_on_the_command_line(options, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(dsn_ros.cli_bench, 'progress_bar', stopping_after(1, 'limits of'))
    out = tmp_path / 'bench.json'
    args = ['limits', '--model', tiny_model, '--threads', 1, '--quick', '--json', out]
    done = CliRunner().invoke(app, ['bench', *map(str, args)])
    assert done.exit_code == 130
    assert 'matrix product, fp32, CPU' in done.output
    assert 'stopped' in done.output
    assert json.loads(out.read_text())['complete'] is False


def test_stopped_before_the_first_round_there_is_nothing_to_tell(options):
    found = bench(of_parts(options, 'path'), stopping_after(0, 'path'))
    assert not found.complete
    assert found.tables() == []
    assert_fits(found.as_json(), {'complete': bool})


def test_markdown_is_what_the_page_takes(tiny_model):
    args = ['limits', '--model', tiny_model, '--threads', 1, '--quick', '--markdown']
    done = CliRunner().invoke(app, ['bench', *map(str, args)])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "## The machine's own limits" in lines
    assert '| limit | reached | by |' in lines
    assert any(line.startswith('| matrix product, fp32, CPU | ') for line in lines)
    assert '; numpy ' in lines[-1]


@pytest.mark.parametrize(
    ('args', 'named'),
    [
        (('--camera', 'wide'), '--camera wide'),
        (('--camera', '1280x0'), '1280x0'),
        (('--train-size', '100x64'), '--train-size 100x64'),
        (('--model', 'no.onnx'), 'no.onnx'),
        (('engines', '--engine', 'abacus'), 'abacus'),
    ],
)
def test_mistakes_are_one_line_and_code_2(args, named, tmp_path, tiny_model):
    if '--model' not in args:
        args = (*args, '--model', str(tiny_model))
    command = [sys.executable, '-m', 'dsn_ros.cli', 'bench', *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    (line,) = (x for x in done.stderr.splitlines() if x.startswith('dsn: '))
    assert named in line


def test_a_file_that_cannot_be_written_is_named(report, tmp_path):
    (tmp_path / 'out').write_text('in the way')
    with pytest.raises(UserError, match=r'bench\.json'):
        report.write(tmp_path / 'out' / 'bench.json')


def test_engines_that_are_not_usable_are_refused(options):
    with pytest.raises(EngineError, match='tensorrt'):
        bench(of_parts(options, 'engines', engine='tensorrt'), silent)


def test_a_quick_look_is_short(options):
    short = quick(BenchOptions(options.models))
    assert (short.rounds, short.batches, short.turn) == (3, (1,), 0.0)
    assert short.train_size == (128, 224)


def test_sizes_are_width_by_height():
    assert size_of('1280x720', '--camera') == (720, 1280)


def test_the_command_offers_every_part():
    assert tuple(part.value for part in dsn_ros.cli_bench.BenchPart) == PARTS


def test_the_report_is_of_this_machine(report):
    about = types.SimpleNamespace(**report.machine)
    assert about.cores >= 1
    assert 'numpy' in about.libraries
    assert about.date in report.about
    assert str(about.cores) in report.about
