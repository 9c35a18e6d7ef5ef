"""Stage `audio`'s part of an export: the decoder of sound and the encoder whose codes it takes, and what its card says."""

from __future__ import annotations

from typing import Any

from v2a.audio.config import Decoder
from v2a.audio.encoder import open_encoder
from v2a.audio.grid import make_grid
from v2a.audio.identity import audio_identity
from v2a.export.parts import Parts
from v2a.export.run import Run
from v2a.geometry import Geometry

DECODER, ENCODER = "sound.", "stage1."  # what the names of their weights begin with
_USE = """
```bash
python -m v2a.infer silent.mp4 --model {shell} --out sounds
```

```python
from pathlib import Path

import numpy as np
import torch

from v2a.audio.given import given_of
from v2a.audio.load import load_audio

loaded = load_audio(Path({python}), torch.device("cpu"))
geometry = loaded.geometry
video = np.zeros((geometry.frames, geometry.height, geometry.width, 3), np.uint8)
given = given_of(loaded.decoder.input, loaded.encoder.model, video)  # codes are int64 [1, t, h, w]
sound = loaded.decoder.sound(given, torch.Generator().manual_seed(0))  # [1, S], -1 to 1
```
"""
_UNITS = (
    "level_db and log_mel: errors, dB; envelope: correlation, 1 at best; mse_silence: the MSE that silence would have"
)


def audio_parts(run: Run) -> Parts:
    """The parts of a run's model; see `v2a.export.parts`.

    Raises:
        ModelError: the run's folder does not hold its encoder.
        ValueError: settings or weights are not those of such a model.
    """
    encoder = open_encoder(run.folder)
    try:
        settings = Decoder(**run.stamp["config"]["decoder"])
        geometry = Geometry.from_dict(run.stamp["geometry"])
        if geometry.as_dict() != encoder.config["geometry"]:
            raise ValueError(f"its encoder is of clips of {Geometry.from_dict(encoder.config['geometry'])}")
        own = ("format", "version", "weights", "step", "best", "metrics")  # of that export
        config: dict[str, Any] = {
            "stage": "audio", "geometry": geometry.as_dict(), "strides": list(encoder.config["strides"]),
            "decoder": dict(run.stamp["config"]["decoder"]),
            "encoder": {name: value for name, value in encoder.config.items() if name not in own},
        }  # fmt: skip
        sound = {name: tensor.detach().cpu().contiguous() for name, tensor in run.weights.items()}
        config["identity"] = audio_identity(sound, config)
        facts = _facts(settings, geometry, config, sum(tensor.numel() for tensor in sound.values()))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"its settings or weights are not those of a decoder of sound of this version ({error})"
        ) from None
    tensors = {f"{DECODER}{name}": tensor for name, tensor in sound.items()}
    tensors |= {f"{ENCODER}{name}": tensor for name, tensor in encoder.tensors.items()}
    return Parts(tensors, config, facts, _USE, _UNITS)


def _facts(settings: Decoder, geometry: Geometry, config: dict[str, Any], numbers: int) -> dict[str, str]:
    strides = config["strides"]
    grid = make_grid(geometry, (strides[0], strides[1], strides[2]))
    return {
        "clips": str(geometry),
        "decoder": f"`{settings.name}`, {numbers:,} numbers, given {settings.input}",
        "encoder": f"stage 1, `{config['encoder']['model']['name']}`, identity `{config['encoder']['identity']}`",
        "a code step": f"{grid.frames} frames, {grid.samples} samples, {grid.rows}x{grid.columns} codes",
    }
