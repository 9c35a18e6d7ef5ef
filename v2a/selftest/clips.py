"""Made-up clips whose sound level follows from the picture: a disc that grows or shrinks while it crosses the frame."""

import torch

FRAMES, HEIGHT, WIDTH = 8, 18, 32  # the paper's 256x144 divided by 8


def make_clips(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips and the loudness of each frame.

    Args:
        count: number of clips, N.
        seed: the same seed gives the same clips, on any machine.

    Returns:
        video `[N, 3, T, H, W]` float32 in 0..1, and loudness `[N, T]` float32 in 0..1: the share of the frame that the disc
        covers, times its brightness.
    """
    random = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=random)

    time = torch.linspace(0, 1, FRAMES)  # [T]
    centre_x = uniform(0, WIDTH, 1) + uniform(-10, 10, 1) * time  # [N, T]
    centre_y = uniform(4, HEIGHT - 4, 1).expand(count, FRAMES)
    radius = uniform(2, 5, 1) + uniform(-1.5, 3, 1) * time
    colour = uniform(0.3, 1, 3)  # [N, 3]
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    distance = ((x - centre_x[..., None, None]) ** 2 + (y - centre_y[..., None, None]) ** 2).sqrt()
    disc = (radius[..., None, None] - distance).clamp(0, 1)  # [N, T, H, W], soft at its edge
    video = colour[:, :, None, None, None] * disc[:, None]
    return video, video.mean(dim=(1, 3, 4))
