"""What makes codes what they are, as one number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

# Goes up when the same weights would give other codes: another scaling of pictures, another choice among equals.
_RULE = 1


def encoder_identity(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> str:
    """Of a model's encoder: 16 hexadecimal digits. The decoder, the optimizer and how it was trained make no difference.

    Args:
        tensors: with "encoder.…" and the quantizer's "….codebook", one or several, on any device.
        config: with "geometry", "strides" and "model", of which only the name and the width of the search for codes count: the
            weights say the rest.

    Raises:
        KeyError: one of these is missing.
    """
    digest = hashlib.sha256(f"v2a encoder {_RULE}".encode())
    settings = [config["geometry"], list(config["strides"]), config["model"]["name"]]
    beam = beam_of(config["model"])
    settings += [f"beam {beam}"] if beam > 1 else []
    digest.update(json.dumps(settings, sort_keys=True).encode())
    books = sorted(name for name in tensors if name.startswith("quantizer.") and name.endswith(".codebook"))
    if not books:
        raise KeyError("quantizer.codebook")
    for name in (*sorted(name for name in tensors if name.startswith("encoder.")), *books):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def beam_of(model: Mapping[str, Any]) -> int:
    """How many sums of vectors are kept while codes are looked for; models from before there was a choice take the nearest."""
    return int(model.get("beam", 1)) if model["name"] == "residual" else 1
