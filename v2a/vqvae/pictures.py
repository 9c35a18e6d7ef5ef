"""Pictures of a clip, its reconstruction and its codes: figures 4 to 7 of the paper."""

from __future__ import annotations

import colorsys

import torch

_GOLDEN = 0.61803398875  # steps round the colour circle that never meet: neighbouring codes get far colours
_FRAMES_OF_VIDEO = 32  # at most: TensorBoard keeps every one


def draw_pictures(video: torch.Tensor, rebuilt: torch.Tensor, codes: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a person looks at.

    Args:
        video: [3, T, H, W], 0 to 1.
        rebuilt: the same, of the decoder.
        codes: [t, h, w], int64.

    Returns:
        uint8 pictures [H, W, 3]: "frame" (the middle one), "reconstruction", "error" (absolute, 4 times as strong), "codes" (a
        colour for each code); and "video" [T, H, 3 W, 3]: frame, reconstruction and codes side by side.
    """
    truth, ours = _bytes(video), _bytes(rebuilt)  # [T, H, W, 3]
    frames, height, width = truth.shape[:3]
    coloured = colour_codes(codes)
    times = (torch.arange(frames) * len(coloured)) // frames
    rows = (torch.arange(height) * coloured.shape[1]) // height
    columns = (torch.arange(width) * coloured.shape[2]) // width
    maps = coloured[times][:, rows][:, :, columns]  # [T, H, W, 3]
    middle = frames // 2
    error = (truth[middle].int() - ours[middle].int()).abs() * 4
    shown = slice(0, _FRAMES_OF_VIDEO)
    return {
        "frame": truth[middle], "reconstruction": ours[middle], "codes": maps[middle], "error": error.clamp(max=255).byte(),
        "video": torch.cat([truth[shown], ours[shown], maps[shown]], dim=2),
    }  # fmt: skip


def colour_codes(codes: torch.Tensor) -> torch.Tensor:
    """A colour for each code, the same in every picture: uint8 [..., 3]."""
    codes = codes.cpu()
    palette = [
        colorsys.hsv_to_rgb(code * _GOLDEN % 1, 0.5 + 0.5 * (code * 7 % 5) / 4, 0.55 + 0.45 * (code * 3 % 4) / 3)
        for code in range(int(codes.max()) + 1)
    ]
    return (torch.tensor(palette)[codes] * 255).byte()


def _bytes(video: torch.Tensor) -> torch.Tensor:
    """[3, T, H, W] from 0 to 1 as uint8 [T, H, W, 3]."""
    return (video.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 3, 0)
