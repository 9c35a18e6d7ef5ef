"""What makes a model's sound what it is, as one number: its decoder's weights, and the encoder whose codes they take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

# Goes up when the same weights would give another sound: another synthesis, another way to draw.
_RULE = 2


def audio_identity(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> str:
    """Of decoder and encoder together: 16 hexadecimal digits. How it was trained makes no difference.

    Args:
        tensors: of the decoder alone, on any device.
        config: with "geometry", "decoder" (of which the name, the gain and the input count, and how "wavenet"'s layers are
            dilated: the weights say the rest), and "encoder", the config of the stage-1 model with its "identity".

    Raises:
        KeyError: one of these is missing.
    """
    decoder = config["decoder"]
    facts = [config["encoder"]["identity"], config["geometry"], decoder["name"], decoder["gain"]]
    facts += [[decoder["stacks"], decoder["layers"]]] if decoder["name"] == "wavenet" else []
    facts += [decoder["input"]] if decoder.get("input", "codes") != "codes" else []
    digest = hashlib.sha256(f"v2a audio {_RULE} {json.dumps(facts, sort_keys=True)}".encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
