"""Names from bags and models are text: in the report, in the summaries, and on the terminal."""

import io

import pytest
from support.bag_factory import START_NS, Recording, storage_file
from support.report_factory import Page
from support.stand_in_engine import StandInEngine

from dsn_core.errors import UserError, printable, quoted
from dsn_core.labels import CITYSCAPES
from dsn_ros.bag_topics import choose_image_topic
from dsn_ros.bags import open_bag
from dsn_ros.console import _Plain, print_metrics
from dsn_ros.errors import BagError
from dsn_ros.replay import ReplayOptions, replay

EVIL = '<script>alert(1)<\\script>"\'&'  # no slash: it is to be a folder's and a topic's name, too
ESCAPE = '\x1b]0;title\x07\x1b[2J\n\r'


@pytest.fixture
def evil_report(tmp_path):
    """The report on a bag, topics, conditions, frames, classes and a model that are all evil."""
    recording = Recording().frames(f'/{EVIL}/image', 2, info=f'/{EVIL}/camera_info')
    build = recording.make
    recording.add('/ground_truth/condition', build.string(EVIL), START_NS - 1)
    broken = f'/{EVIL}/image'
    recording.add_raw(broken, 'sensor_msgs/msg/Image', START_NS + 5, b'')
    bag = recording.write(tmp_path / EVIL)
    names = (EVIL, *CITYSCAPES.names[1:])
    engine = StandInEngine(class_names=names, name=EVIL, training_data=EVIL)
    metrics = replay(bag, tmp_path / 'out', engine)
    return metrics, (tmp_path / 'out' / 'report.html').read_text(encoding='utf-8')


def test_a_report_on_evil_names_runs_nothing(evil_report):
    metrics, html = evil_report
    assert metrics['topic'] == f'/{EVIL}/image'
    assert '<script>alert' not in html
    assert html.count('<script') == html.count('</script') == 2  # the page's data and its own
    page = Page(html)
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == 'on']
    shown = [text for text in page.texts if EVIL in text]
    assert len(shown) >= 4  # title, heading, class, model; as they are
    assert page.data['frames'][0]['chapter'] == EVIL
    assert any(f'/{EVIL}/image' in text for text in page.texts)  # the problem of the broken one


def test_errors_write_out_what_would_command_a_terminal(tmp_path):
    recording = Recording().frames(f'/a{ESCAPE}/image', 1).frames('/b/image', 1)
    file = storage_file(recording.write(tmp_path / 'bag', 'sqlite3'))
    with open_bag(file) as bag, pytest.raises(BagError) as caught:
        choose_image_topic(bag)
    said = str(caught.value)
    assert said.isprintable()
    assert r'/a\x1b]0;title\x07\x1b[2J\n\r/image' in said


def test_the_console_does_not_obey_either():
    out = io.StringIO()
    console = _Plain(file=out, markup=False, width=200)
    console.print(f'note: {ESCAPE}[red]', style='yellow')
    assert out.getvalue() == 'note: \\x1b]0;title\\x07\\x1b[2J\n\\r[red]\n'


def test_what_a_replay_prints_is_clean(tmp_path, capsys):
    recording = Recording().frames('/image', 2).frames('/ground_truth/depth/image', 0)
    build = recording.make
    recording.add('/ground_truth/condition', build.string(f'night{ESCAPE}'), START_NS - 1)
    recording.depth('/ground_truth/depth/image', 2)
    bag = recording.write(tmp_path / 'bag')
    options = ReplayOptions(topic='/image', compare=True)
    print_metrics(replay(bag, tmp_path / 'out', StandInEngine(), options), tmp_path / 'out')
    out, err = capsys.readouterr()
    assert '\x1b]' not in out + err
    assert '\x1b[2J' not in out + err


def test_long_and_odd_texts_are_cut_and_quoted():
    assert quoted('rgb8') == "'rgb8'"
    assert quoted('x' * 1000) == repr('x' * 60 + '...')
    assert quoted('a\nb\x1b') == r"'a\nb\x1b'"
    assert printable('grün\t\udc80') == r'grün\t\udc80'
    assert str(UserError('a\nb')) == r'a\nb'
