"""What a decoder of sound is given of a clip: stage 1's codes, or, to see what they cost, what the encoder says before it is
quantised, or the frames themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from v2a.codes.encode import encode_clip, encode_latents
from v2a.loading.dataset import as_float
from v2a.models.vqvae import VQVAE


def given_of(kind: str, encoder: VQVAE, video: npt.NDArray[np.uint8]) -> torch.Tensor:
    """What a decoder whose `input` is this kind takes of one clip, on the encoder's device.

    Args:
        kind: "codes", int64 [1, t, h, w]; "latents", float32 [1, D, t, h, w]; "pixels", float32 [1, 3, T, H, W], 0 to 1.
        encoder: of stage 1, in evaluation mode; for "pixels" only its device counts.
        video: uint8 [T, H, W, 3].

    Raises:
        ValueError: see `encode_clip`.
    """
    device = next(encoder.parameters()).device
    if kind == "pixels":
        return as_float(torch.from_numpy(video)[None].to(device))
    if kind == "latents":
        return encode_latents(encoder, video)
    return torch.from_numpy(encode_clip(encoder, video).astype(np.int64))[None].to(device)
