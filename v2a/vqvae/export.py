"""Stage `vqvae`'s part of an export: encoder, decoder and codebook, and what its card says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from v2a.export.parts import Parts
from v2a.export.run import Run
from v2a.geometry import Geometry
from v2a.models.config import Model
from v2a.quantize.config import Settings
from v2a.vqvae.identity import encoder_identity

_USE = """
```bash
python -m v2a.codes model={shell} data=data/clips out=data/codes
```

```python
from pathlib import Path

import torch

from v2a.vqvae.load import load_vqvae

model, geometry, identity = load_vqvae(Path({python}), torch.device("cpu"))
video = torch.zeros(1, 3, geometry.frames, geometry.height, geometry.width)  # 0 to 1
codes = model.codes(video)  # int64 [1, t, h, w]
again = model.decode(model.quantizer.codes_to_vectors(codes))  # [1, 3, T, H, W]
```
"""


_UNITS = "PSNR in dB; usage is a share of the codebook"


def vqvae_parts(run: Run) -> Parts:
    """The parts of a run's model; see `v2a.export.parts`.

    Raises:
        ValueError: settings or weights are not those of such a model, or its codebook never saw a batch.
    """
    stamp, weights = run.stamp, run.weights
    try:
        model, settings = Model(**stamp["config"]["model"]), Settings(**stamp["config"]["quantizer"])
        geometry = Geometry.from_dict(stamp["geometry"])
        tensors = {name: weights[name].detach().cpu().contiguous() for name in weights if is_kept(name)}
        config: dict[str, Any] = {
            "stage": "vqvae", "geometry": geometry.as_dict(), "strides": list(model.product),
            # As the run has them: settings that later versions add must not change its identity.
            "model": dict(stamp["config"]["model"]), "quantizer": dict(stamp["config"]["quantizer"]),
        }  # fmt: skip
        config["identity"] = encoder_identity(tensors, config)
    except (KeyError, TypeError) as error:
        raise ValueError(f"its settings or weights are not those of a VQ-VAE of this version ({error})") from None
    if not all(bool(tensor) for name, tensor in tensors.items() if name.endswith(".initialised")):
        raise ValueError("its codebook never saw a sound batch: train it for some steps first")
    return Parts(tensors, config, _facts(model, settings, geometry, tensors), _USE, _UNITS)


def is_kept(name: str) -> bool:
    """Whether a tensor of a checkpoint belongs to the model: of a quantizer's state, averages and counts are for training only."""
    return not name.startswith("quantizer.") or name.endswith((".codebook", ".initialised"))


def _facts(model: Model, settings: Settings, geometry: Geometry, tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    time, rows, columns = geometry.latent_grid([model.product])
    bits = (settings.codes - 1).bit_length() / math.prod(model.product)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    return {
        "clips": str(geometry),
        "network": f"`{model.name}`, {model.channels} channels, {numbers:,} numbers",
        "codebook": f"{settings.codes} codes of {model.dim} numbers (`{settings.kind}`)",
        "codes of a clip": f"{time}x{rows}x{columns}, one for {model.strides} frames x rows x columns: {bits:.4g} bit per pixel",
    }
