"""What a sweep does when nobody says otherwise."""

from __future__ import annotations

from sweeps.space import Parameter, SpaceError, parse_parameter

STAGE = "vqvae"
# Small enough for a laptop: some minutes in all. More validations than the preset has, for pruning to have something to see.
SMALL = ("preset=tiny", "train.validate_every=25")

# Codebook size, embedding dim and learning rates: of the encoder and the codebook in stage 1, of the decoder in stage 2. In stage 1
# `model.slow` is the encoder's rate as a share of the decoder's, and `quantizer.decay` the pace of a moving-average codebook.
_SPACES = {
    "vqvae": (
        "quantizer.codes=choice(64, 128, 256, 512)",
        "model.dim=choice(8, 16, 32, 64)",
        "train.lr=log(3e-4, 1e-2)",
        "model.slow=log(0.03, 1) if model.name=residual",
        "quantizer.decay=choice(0.9, 0.97, 0.99, 0.997) if quantizer.kind=ema",
        "quantizer.lr_factor=log(1, 30) if quantizer.kind=gradient",
    ),
    "audio": (
        "train.lr=log(1e-4, 1e-2)",
        "decoder.channels=choice(32, 64, 128, 256) if decoder.name=framewise",
        "decoder.hidden=choice(128, 256, 512, 1024) if decoder.name=fc",
        "decoder.width=choice(16, 32, 64) if decoder.name=wavenet",
        "train.weight_decay=log(1e-4, 0.1)",
    ),
    "selftest": ("lr=log(1e-4, 1e-1)", "batch=choice(8, 16, 32)"),
}
_OBJECTIVES = {"vqvae": "validation/psnr:maximize", "selftest": "loss:minimize"}


def default_space(stage: str) -> list[Parameter]:
    """The user's default of a stage.

    Raises:
        SpaceError: it has none.
    """
    if stage not in _SPACES:
        raise SpaceError(
            f"there is no default search for stage={stage}: give --search NAME=KIND(...), or one of "
            f"stage={', stage='.join(_SPACES)}"
        )
    return [parse_parameter(text) for text in _SPACES[stage]]


def default_objective(stage: str) -> str:
    """PSNR for stage 1, the validation's loss elsewhere."""
    return _OBJECTIVES.get(stage, "validation/loss:minimize")
