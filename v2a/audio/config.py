"""Config of the stage `audio`; imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from v2a.config import choose
from v2a.training.config import Train

DECODERS = ("framewise", "fc", "wavenet")
INPUTS = ("codes", "latents", "pixels")


@dataclass(frozen=True)
class Decoder:
    """How codes become sound.

    Attributes:
        name: "framewise": ours, noise and tones from what each moment's codes say; "fc": the paper's, all codes of a segment to all
            of its samples; "wavenet": the earlier work's, one sample after another, given those before it.
        input: what it is given: "codes" of stage 1; "latents", what stage 1's encoder says before it is quantised; or "pixels",
            frames scaled down to the size of the pictures that codes stand for. For the last two `data` is read, and not `codes`.
        hidden: width of "fc"'s layers.
        channels: of "framewise"'s features, and of those of a frame that "wavenet" is told.
        blocks: residual blocks of "framewise" at each of its three rates.
        bands: mel bands of its spectral envelope.
        gain: the sound is normalised as tanh(gain x) for "fc".
        mirror: in training, every second picture of "framewise" and "wavenet" is seen mirrored, left for right: it sounds the same.
        width: features of "wavenet"'s layers.
        stacks, layers: it has `stacks` times `layers` layers, which look 1, 2, 4, … samples back.
        piece_s: seconds of each clip that a step of "wavenet" is trained on.
    """

    NAME: ClassVar[str] = "name"

    name: str = "framewise"
    input: str = "codes"
    hidden: int = 512
    channels: int = 128
    blocks: int = 2
    bands: int = 64
    gain: float = 1.0
    mirror: bool = True
    width: int = 32
    stacks: int = 2
    layers: int = 10
    piece_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        choose("decoder", self.name, DECODERS)
        choose("decoder.input", self.input, INPUTS)
        if self.name == "fc" and self.input != "codes":
            raise ValueError(
                f"expected decoder.input=codes with decoder=fc, which takes nothing else, but got {self.input}"
            )
        for name, least, most in (
            ("hidden", 1, 65536), ("channels", 8, 4096), ("blocks", 1, 32), ("bands", 8, 256), ("width", 4, 64), ("stacks", 1, 8),
            ("layers", 1, 12),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"expected decoder.{name} from {least} to {most}, but got {getattr(self, name)}")
        if not 0 < self.gain <= 100:
            raise ValueError(f"expected decoder.gain above 0 and at most 100, but got {self.gain:g}")
        if not 0.001 <= self.piece_s <= 60:
            raise ValueError(f"expected decoder.piece_s from 0.001 to 60, but got {self.piece_s:g}")


@dataclass(frozen=True)
class Weights:
    """Parts of "framewise"'s loss.

    Attributes:
        power: L1 of the log power in mel bands, smoothed over 30 ms, 110 ms and 410 ms.
        convergence: error of the amplitudes in mel bands as a share of the truth's, smoothed over 110 ms and 410 ms.
        centroid: L1 of the spectral centroid, octaves.
        correlation: 1 - r of the RMS envelopes and 1 - r of the centroids, each smoothed over 110 ms: do they rise and fall alike?
        level: error of the clip's mean power, natural logarithm.
        pitch: cross-entropy of the pitch where the truth has one.
        tonal: of the share of power in harmonics.
        onsets: cross-entropy of the moments at which the truth has an onset.
        stft: multi-resolution STFT loss of the sound itself, as it is drawn: more than half of a step's time (docs/LOG.md).
        mse: of the samples; it pulls towards silence.
    """

    power: float = 1.0
    convergence: float = 0.0
    centroid: float = 0.3
    correlation: float = 0.5
    level: float = 0.2
    pitch: float = 0.1
    tonal: float = 0.3
    onsets: float = 0.5
    stft: float = 0.0
    mse: float = 0.0

    def __post_init__(self) -> None:
        """Refuse weights of which no loss can be made."""
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"expected weights.{name} of at least 0, and finite, but got {value:g}")
        if not any(vars(self).values()):
            raise ValueError("expected at least one of weights.* above 0: a loss that is always 0 teaches nothing")


@dataclass
class Config:
    """What to train on, and how.

    Attributes:
        codes: folder of code shards, from `python -m v2a.codes`.
        data: the clips that they were made from.
        model: the stage-1 model that made them: its codebook becomes a part of the decoder.
        preset: "base" (what we recommend), "paper" (`decoder=fc`, whole segments, MSE), "wavenet" (`decoder=wavenet`), or "tiny" (a
            CPU in under a minute).
        crop: frames of a random crop of a clip; 0 for whole clips, which "fc" needs.
        device: "auto", "cpu", "cuda", "cuda:1", ….
        decoder: the network; `decoder=fc` names it.
        weights: of the parts of the loss.
        train: how it is trained.
    """

    PRESETS: ClassVar[dict[str, tuple[str, ...]]] = {
        "base": (),
        "paper": ("decoder=fc", "crop=0", "train.batch=2", "train.lr=5e-5", "train.warmup=200"),
        "wavenet": ("decoder=wavenet", "train.batch=4", "train.lr=2e-3", "train.warmup=50"),
        "tiny": (
            "decoder.channels=32", "decoder.hidden=64", "decoder.blocks=1", "decoder.bands=32", "decoder.width=16",
            "decoder.layers=8", "decoder.piece_s=0.2", "crop=20", "train.steps=200", "train.batch=4", "train.lr=1e-3",
            "train.warmup=20", "train.log_every=10", "train.validate_every=100", "train.checkpoint_every=50",
        ),
    }  # fmt: skip

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("preset", "device")
    # In runs that were begun before there were these settings.
    BEFORE: ClassVar[dict[str, object]] = {"decoder.mirror": False, "weights.correlation": 0.0, "weights.level": 0.0}

    codes: str = "data/codes"
    data: str = "data/clips"
    model: str = "models/vqvae"
    preset: str = "base"
    crop: int = 0
    device: str = "auto"
    decoder: Decoder = field(default_factory=Decoder)
    weights: Weights = field(default_factory=Weights)
    train: Train = field(default_factory=lambda: Train(batch=4, lr=3e-3, warmup=100))

    def __post_init__(self) -> None:
        """Refuse crops for a decoder that needs whole segments."""
        if self.crop < 0:
            raise ValueError(f"expected crop of at least 0 (0 for whole clips), but got crop={self.crop}")
        if self.decoder.name == "fc" and self.crop:
            raise ValueError(f"expected crop=0 with decoder=fc, which makes whole segments, but got crop={self.crop}")
