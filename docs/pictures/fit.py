"""Draws the pictures of stretch, crop and pad for docs/reading.md: python docs/pictures/fit.py"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw

from v2a.media.fit import place
from v2a.media.reading import Fit

_SOURCE = (320, 240)
_CLIP = (256, 144)


def source() -> Image.Image:
    """A test card of 4:3: a circle shows what is stretched, coloured edges show what is cut off."""
    card = Image.new("RGB", _SOURCE, (40, 60, 90))
    draw = ImageDraw.Draw(card)
    width, height = _SOURCE
    for at in range(0, width, 20):
        draw.line((at, 0, at, height), fill=(70, 95, 130))
        draw.line((0, at, width, at), fill=(70, 95, 130))
    draw.rectangle((0, 0, width, 15), fill=(220, 60, 50))
    draw.rectangle((0, height - 16, width, height), fill=(240, 190, 40))
    draw.rectangle((0, 0, 15, height), fill=(60, 170, 90))
    draw.rectangle((width - 16, 0, width, height), fill=(150, 90, 200))
    draw.ellipse((70, 30, 250, 210), outline=(255, 255, 255), width=6)
    return card


def fitted(card: Image.Image, fit: Fit) -> Image.Image:
    """What the readers make of it."""
    placement = place(fit, _SOURCE, None, 0, _CLIP)
    scaled = card.resize((placement.scaled_width, placement.scaled_height), Image.Resampling.BOX)
    clip = np.empty((_CLIP[1], _CLIP[0], 3), np.uint8)
    placement.put(np.asarray(scaled), clip)
    return Image.fromarray(clip)


if __name__ == "__main__":
    folder = Path(__file__).parent
    card = source()
    pictures = {"source": card} | {fit: fitted(card, fit) for fit in get_args(Fit)}
    for name, picture in pictures.items():
        picture.quantize(64).save(folder / f"fit-{name}.png", optimize=True)
