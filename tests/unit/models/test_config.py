"""Settings of networks: strides and their split, and what is refused."""

import pytest

from v2a.config import ConfigError, build_config
from v2a.geometry import Geometry
from v2a.models.config import Model


def test_the_papers_split_of_the_strides():
    assert Model().steps == ((2, 4, 4), (2, 2, 2))
    assert Geometry().latent_grid(Model().steps) == Geometry().latent_grid([Model().product]) == (25, 18, 32)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("1x1x1", (1, 1, 1), (1, 1, 1)),
        ("2x8x16", (1, 4, 8), (2, 2, 2)),
        ("1x16x2", (1, 8, 1), (1, 2, 2)),
    ],
)
def test_other_strides(text: str, first: tuple[int, ...], second: tuple[int, ...]):
    assert Model(strides=text, dim=1).steps == (first, second)


@pytest.mark.parametrize(
    "text", ["", "4x8", "4x8x8x8", "3x8x8", "0x8x8", "4x8x32", "-4x8x8", "4X8X8", "4x8x8\n", "٤x8x8"]
)
def test_strides_that_are_refused(text: str):
    with pytest.raises(ValueError, match="frames x rows x columns, each 1, 2, 4, 8 or 16, such as 4x8x8"):
        Model(strides=text)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("name=resnet", "expected model.name to be paper or residual, but got 'resnet'"),
        ("dim=0", "expected model.dim from 1 to 1024, but got 0"),
        ("group=65", "expected model.group from 1 to 64, but got 65"),
        ("channels=20", "expected model.channels a multiple of 8, but got 20; 16 is"),
        ("narrow=3", "expected model.narrow a multiple of 8, but got 3; 8 is"),
        ("dim=769", "expected model.dim of at most 768, the numbers of a group's block, but got 769"),
    ],
)
def test_settings_that_are_refused(setting: str, sentence: str):
    with pytest.raises(ConfigError) as caught:
        build_config(Model, ["group=1", setting])
    assert str(caught.value) == sentence
