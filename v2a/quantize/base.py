"""What every quantizer is: codes of vectors, their inverse, a start from the data, restarts of dead codes, and how much is used.

All ranks hold the same codebook. Each forward pass in training makes one all-reduce, of counts and what else the codebook learns
from; what is decided (starts, restarts, to leave a spoiled batch out) is decided from its result, and so alike on all ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from v2a.comm import Comm
from v2a.quantize.config import Settings
from v2a.quantize.nearest import Assigned, look_up
from v2a.quantize.picks import generator, own_rows, pick
from v2a.quantize.shares import announce, read
from v2a.quantize.start import first_codebook
from v2a.quantize.straight_through import quantize

# A restarted code counts as if its use were this many times the limit of dead codes: with decay 0.99 it has 69 steps to be used,
# and what it is given then soon outweighs what it restarted with.
_FRESH = 2.0


@dataclass(frozen=True)
class Quantized:
    """What a quantizer makes of encodings.

    Attributes:
        vectors: the codes' vectors, float32, of the encodings' shape: bit for bit what `codes_to_vectors` gave before this call
            (in training the codebook then moves); gradients pass straight through to the encodings.
        codes: int64, of the encodings' shape without channels.
        loss: to be added to the model's; float32 scalar.
        error: mean squared distance of encodings and vectors, per number; float32 scalar without gradient.
    """

    vectors: torch.Tensor
    codes: torch.Tensor
    loss: torch.Tensor
    error: torch.Tensor


class Quantizer(nn.Module, ABC):
    """A codebook of K vectors of dimension D, trained alike on all ranks; float32 inside autocast too.

    Every rank calls `forward` in training with an equal share of the batch, in the same order. Evaluation changes nothing and
    talks to no rank.

    Args:
        settings: see there.
        dim: D.
        comm: the ranks that train together.
        seed: of every choice; the same on all ranks.

    Raises:
        ValueError: no dimensions.
    """

    codebook: torch.Tensor  # float32 [K, D]
    initialised: torch.Tensor
    updates: torch.Tensor
    use: torch.Tensor
    used: torch.Tensor

    def __init__(self, settings: Settings, dim: int, comm: Comm, seed: int = 0) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"expected dim of at least 1, but got dim={dim}")
        self.settings, self.dim = settings, dim
        self._comm, self._seed = comm, seed
        self.codes = settings.codes
        self.register_buffer("initialised", torch.tensor(False))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))  # forward passes in training
        self.register_buffer("use", torch.ones(self.codes, dtype=torch.float64))  # moving average of encodings per step
        self.register_buffer(
            "used", torch.zeros(self.codes, dtype=torch.int64)
        )  # encodings since reset_usage, of all ranks

    # --- codes and vectors --------------------------------------------------------------------------------------------

    def forward(self, z: torch.Tensor, codes: torch.Tensor | None = None) -> Quantized:
        """Nearest codes of encodings, by Euclidean distance; of equally near ones the lowest. In training the codebook learns.

        Args:
            z: [B, D, …], any floating dtype, such as [B, D, t, h, w].
            codes: int64 [B, …] to be taken instead of the nearest.

        Raises:
            ValueError: another shape or dtype, no encodings, or ranks with unequal shares (on all of them).
        """
        self._check(z)
        with torch.autocast(z.device.type, enabled=False):
            columns = z.float().flatten(2)  # [B, D, S]
            if self.training and not bool(self.initialised):
                self._begin([columns.detach()])
            chosen = None if codes is None else codes.flatten(1)
            vectors, loss, found = quantize(
                columns, self.codebook, self.settings.beta, self._learns_sums and self.training, chosen
            )
            if self.training:
                self._learn(columns.detach(), found)
        error = (found.error / z.numel()).float()
        return Quantized(vectors.view(z.shape), found.codes.view(z.shape[0], *z.shape[2:]), loss, error)

    @torch.no_grad()
    def codes_to_vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """The inverse: float32 [B, D, …] of integer codes [B, …]; exactly the codebook's rows.

        Raises:
            ValueError: not whole numbers, or a code that is not in the codebook.
        """
        if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool or codes.ndim < 1:
            raise ValueError(
                f"expected codes of an integer dtype, [B, …], but got {codes.dtype} of shape {tuple(codes.shape)}"
            )
        wide = codes.to(torch.int64)  # uint16, of code shards, does not index
        if wide.numel() and not 0 <= int(wide.min()) <= int(wide.max()) < self.codes:
            raise ValueError(
                f"expected codes from 0 to {self.codes - 1}, but got {int(wide.min())} to {int(wide.max())}; "
                "are they of another codebook?"
            )
        vectors = look_up(self.codebook, wide.unsqueeze(-1).flatten(1))
        return vectors.view(len(wide), self.dim, *codes.shape[1:])

    # --- start --------------------------------------------------------------------------------------------------------

    def wanted(self) -> int:
        """Encodings of each rank that `begin` would like; 0 when the codebook has begun, or begins otherwise."""
        settings = self.settings
        if settings.start != "kmeans" or bool(self.initialised):
            return 0
        return -(-settings.start_per_code * self.codes // self._comm.size)

    @torch.no_grad()
    def begin(self, encodings: Sequence[torch.Tensor]) -> None:
        """Start the codebook from many batches. Without it, it starts from the first one that it is trained with.

        Args:
            encodings: of each batch [B, D, …], as `forward` takes them; as many batches on all ranks. Those that are not finite on
                any rank are left out.

        Raises:
            ValueError: see `forward`.
        """
        if not self.wanted():
            return
        for z in encodings:
            self._check(z)
        self._begin([z.detach().float().flatten(2) for z in encodings])

    # --- usage --------------------------------------------------------------------------------------------------------

    def usage(self) -> float:
        """Share of the codes that any rank used since `reset_usage`, 0 to 1; equal on all ranks, without talking to them."""
        return float((self.used > 0).double().mean())

    def perplexity(self) -> float:
        """exp(entropy) of the codes since `reset_usage`: 1 to K, how many codes equally used would be as diverse; 0 before any."""
        shares = self.used.double() / self.used.sum().clamp(min=1)
        return float(torch.special.entr(shares).sum().exp()) if bool(self.used.any()) else 0.0

    def reset_usage(self) -> None:
        """Begin to count anew, as at the start of an epoch; on all ranks at the same step."""
        self.used.zero_()

    # --- learning -----------------------------------------------------------------------------------------------------

    _learns_sums = False

    @abstractmethod
    def _place(self, rows: torch.Tensor, vectors: torch.Tensor, use: torch.Tensor) -> None:
        """Put codes, int64 [M], at vectors, float32 [M, D], as if used so often; moving averages of theirs begin anew."""

    @abstractmethod
    def _move(self, sums: torch.Tensor | None) -> None:
        """Move the codebook by one step's sums of encodings over all ranks, float64 [K, D]; `use` has moved already."""

    @torch.no_grad()
    def _begin(self, batches: Sequence[torch.Tensor]) -> None:
        """Start from the batches [B, D, S] that are sound on all ranks."""
        sound: list[tuple[torch.Tensor, int]] = []
        for z in batches:
            header = self._comm.all_reduce(announce(z, ~torch.isfinite(z.square().sum())))
            total = read(header, self._comm.size)
            if total is not None:
                sound.append((z, total))
        if not sound:
            return
        total = sum(total for _, total in sound) // len(sound)  # of a step
        use = torch.full_like(self.use, total / self.codes)
        if self.settings.start == "kmeans":
            centres, shares = first_codebook(sound, self.codes, self._comm, generator(self._seed, -1))
            use = shares.clamp(min=self._fresh / self.codes) * total
            self._place(torch.arange(self.codes, device=self.use.device), centres, use)
        self.use.copy_(use)
        self.initialised.fill_(True)

    @torch.no_grad()
    def _learn(self, z: torch.Tensor, found: Assigned) -> None:
        """One step's moving averages and restarts, from one all-reduce; nothing of a batch that is spoiled on any rank."""
        dead = self._dead()
        total = z.shape[0] * z.shape[2] * self._comm.size
        random = generator(self._seed, int(self.updates))
        numbers = pick(total, min(total, len(dead)), random)
        rows = own_rows(z, numbers, self._comm.rank)
        payload = [announce(z, ~torch.isfinite(found.error)), found.counts.double()]
        payload += [found.sums.reshape(-1)] if self._learns_sums and found.sums is not None else []
        lengths = [len(part) for part in payload] + [rows.numel()]
        header, counts, *rest = torch.split(self._comm.all_reduce(torch.cat([*payload, rows.view(-1)])), lengths)
        self.updates += 1
        if read(header, self._comm.size) is None:
            return
        self.used += counts.long()
        if not bool(self.initialised):
            return  # every batch so far was spoiled
        self.use.copy_(self.use * self.settings.decay + counts * (1 - self.settings.decay))
        self._move(rest[0].view(self.codes, self.dim) if len(rest) > 1 else None)
        if len(numbers):
            self._restart(dead[: len(numbers)], rest[-1].view(rows.shape))

    def _dead(self) -> torch.Tensor:
        if self.settings.restart_below == 0 or not bool(self.initialised):
            return torch.empty(0, dtype=torch.int64, device=self.use.device)
        return (self.use < self.settings.restart_below * self.use.mean()).nonzero().flatten()

    def _restart(self, dead: torch.Tensor, encodings: torch.Tensor) -> None:
        """Dead codes [M] begin anew at encodings [M, D]; those for which there is none wait."""
        use = (self.use.mean() * self._fresh).expand(len(dead)).clone()
        self._place(dead, encodings.float(), use)
        self.use[dead] = use

    @property
    def _fresh(self) -> float:
        """Use of a code that begins anew, as a share of the mean."""
        return _FRESH * self.settings.restart_below

    # --- checks -------------------------------------------------------------------------------------------------------

    def _check(self, z: torch.Tensor) -> None:
        if self.codebook.dtype != torch.float32:
            raise ValueError(
                f"expected a codebook of float32, but it is {self.codebook.dtype}; leave the quantizer out of .half() "
                "or .to(dtype); autocast needs neither"
            )
        if not z.is_floating_point() or z.ndim < 3 or z.shape[1] != self.dim or not z.numel():
            raise ValueError(
                f"expected encodings [B, {self.dim}, …] of a floating dtype with at least one position, such as "
                f"[B, {self.dim}, t, h, w], but got {z.dtype} of shape {tuple(z.shape)}"
            )

    def extra_repr(self) -> str:
        """Sizes, for `print(model)`."""
        return f"dim={self.dim}, {self.settings}"
