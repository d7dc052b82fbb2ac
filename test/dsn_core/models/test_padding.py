"""Reflection: what nn.Conv2d and nn.ReflectionPad2d do, without widening under autocast."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from torch import nn

from dsn_core.models.padding import ReflectConv2d, ReflectPad2d


def maps(channels=3):
    return torch.randn(2, channels, 7, 9, generator=torch.Generator().manual_seed(4))


def test_convolution_is_that_of_pytorch_with_its_weights():
    theirs = nn.Conv2d(3, 5, 3, padding=1, padding_mode='reflect')
    ours = ReflectConv2d(3, 5)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(maps()), theirs(maps()))


def test_pad_is_that_of_pytorch():
    assert torch.equal(ReflectPad2d(3)(maps()), nn.ReflectionPad2d(3)(maps()))


def test_autocast_keeps_the_pad_narrow_and_the_answer_the_same():
    x, conv = maps(), ReflectConv2d(3, 5)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        padded, out = ReflectPad2d(2)(x), conv(x)
        # A bf16 map padded in fp32 and narrowed again has the same values.
        expected = nn.functional.conv2d(
            nn.functional.pad(x, (1,) * 4, mode='reflect'), conv.weight, conv.bias
        )
    assert padded.dtype == out.dtype == torch.bfloat16
    assert torch.equal(out, expected)


def test_gradient_under_autocast_reaches_image_and_weights():
    x, conv = maps().requires_grad_(True), ReflectConv2d(3, 5)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        conv(ReflectPad2d(1)(x)).float().square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).any())
    assert bool((conv.weight.grad != 0).any())
