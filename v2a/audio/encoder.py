"""The stage-1 model that a run of stage `audio` is built on, kept in the run's folder: so that a model is one folder."""

from __future__ import annotations

from pathlib import Path

import torch

from v2a.comm import Comm
from v2a.export.errors import ModelError
from v2a.export.folder import is_model, read_config, write_model
from v2a.export.open import Opened, open_model

FOLDER = "encoder"
_CARD = """# encoder

The stage-1 model whose codes this run's decoder takes, as it was when the run began. `python -m v2a.export` takes both.
"""


def keep_encoder(out: Path, model: Path, identity: str, comm: Comm) -> None:
    """Store the model's encoder in a run's folder; or see that the run there was built on the same one.

    Args:
        out: the run's folder.
        model: the stage-1 model, an exported folder or a run.
        identity: of its encoder, as this run uses it.
        comm: all ranks look, rank 0 writes.

    Raises:
        ValueError: the run there is built on another encoder.
        ModelError: what is kept there is damaged, or the model changed meanwhile.
        OSError: it cannot be written, on all ranks.
    """
    place = out / FOLDER
    there = str(read_config(place)["identity"]) if is_model(place) else ""
    if there and there != identity:
        raise ValueError(
            f"{out} holds a run on codes of the encoder {there}, but {model} is the encoder {identity}; go on with "
            f"model={place}, or choose another folder"
        )
    comm.barrier()  # no rank looks at what rank 0 writes now
    failure: Exception | None = None
    if comm.rank == 0 and not there:
        try:
            _store(place, model, identity)
        except (ModelError, OSError) as error:
            failure = error
    failed = int(comm.broadcast(torch.tensor(int(failure is not None))))
    if failure is not None:
        raise failure
    if failed:
        raise OSError(f"rank 0 could not store the encoder in {place}; it says why")


def open_encoder(run: Path) -> Opened:
    """What `keep_encoder` stored, verified.

    Raises:
        ModelError: missing or damaged.
    """
    place = run / FOLDER
    if not is_model(place):
        raise ModelError(
            place, "is missing: the run began before runs kept their encoder. Repeat the command that trained it, which stores it"
        )  # fmt: skip
    return open_model(place, "vqvae", torch.device("cpu"))


def _store(place: Path, model: Path, identity: str) -> None:
    opened = open_model(model, "vqvae", torch.device("cpu"))
    if opened.config["identity"] != identity:
        raise ModelError(
            model, f"changed in this moment: its encoder was {identity} and is {opened.config['identity']}. Export a run that "
            "still trains, and take the export"
        )  # fmt: skip
    own = ("format", "version", "weights")  # written anew
    write_model(place, {name: opened.config[name] for name in opened.config if name not in own}, opened.tensors, _CARD)
