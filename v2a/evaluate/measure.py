"""One worker's part: the sounds of a clip, drawn and measured, and kept."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from v2a.audio.given import given_of
from v2a.audio.load import LoadedAudio
from v2a.audio.pitch import Pitch
from v2a.evaluate.candidates import mean_noise, model_sound, redrawn, seed_of, shifted, silence
from v2a.evaluate.clips import fit_length, open_clips, sound_of
from v2a.evaluate.config import Config
from v2a.evaluate.parts import Part, write_part
from v2a.evaluate.plan import REFERENCE, ClipTask, check_unchanged, load_models
from v2a.evaluate.reference import read_reference
from v2a.evaluate.score import Ruler
from v2a.evaluate.sounds import write_wave
from v2a.evaluate.synthetic import NoTruth, Truth, find_truth, read_truth
from v2a.loading.catalog import read_catalog
from v2a.loading.opened import OpenShards
from v2a.loading.opened import open_clips as open_shard
from v2a.metrics.correlation import Array
from v2a.metrics.heard import Heard, listen, make_bands
from v2a.metrics.spectral import log_mel_l1
from v2a.metrics.sync import motion_energy


class Measurer:
    """Measures clips one by one; what comes out depends on the clip and the settings alone, not on order or process.

    Args:
        config: validated.
        identity: of the evaluation.
        device: for the models.

    Raises:
        ModelError, ShardError: what the plan found sound is not any more.
        FileNotFoundError: the reference is gone.
    """

    def __init__(self, config: Config, identity: str, device: torch.device) -> None:
        self._config, self._identity, self._out = config, identity, Path(config.out)
        reference = read_reference(self._out / REFERENCE, identity)
        if reference is None:
            raise FileNotFoundError(f"{self._out / REFERENCE} is gone, or another's; the same command makes it again")
        self._models = load_models(config, device)
        check_unchanged(self._out, self._models)
        self._clips, self._training = open_clips(config, config.split), open_clips(config, "train")
        self._catalog = read_catalog(Path(config.data), config.split, need_audio=True)
        self._videos = OpenShards(self._catalog.paths, open_shard, 8)
        self._bands = make_bands(self._clips.geometry.sample_rate)
        self._ruler = Ruler(self._bands, Pitch(self._bands.sample_rate, self._bands.hop), reference)

    def measure(self, task: ClipTask) -> None:
        """Measure a clip and keep the result; write its sounds when it is on the sheet.

        Raises:
            ValueError: a model drew samples that are not numbers; says which, of which clip.
        """
        row = self._clips.row(task.clip)
        wave = sound_of(self._clips, task.clip)
        truth = listen(wave, self._bands)
        made, missing = self._made(task, truth)
        waves = self._waves(task, truth)
        motion = self._motion(task.clip, truth)
        part = Part(
            self._identity, task.key, row.source.encode(errors="replace").decode(), row.group, row.start_s,
            len(wave) / self._bands.sample_rate, missing, self._notes(task),
        )  # fmt: skip
        for name, sound in waves.items():
            try:
                scores, described = self._ruler.measure(sound, truth, motion, made)
            except ValueError as error:
                raise ValueError(f"{name}, clip {task.key} of {row.source}: {error}") from error
            part.scores[name], part.described[name] = scores, described.tolist()
        if task.shown >= 0:
            for name in self._models:
                part.scores[name]["seeds_db"] = self._over_seeds(name, task, waves[name])
            for name, sound in waves.items():
                write_wave(self._out, task.shown, name, sound, self._bands.sample_rate)
        write_part(self._out, part)

    def _waves(self, task: ClipTask, truth: Heard) -> dict[str, Array]:
        """All candidates' sounds, each as long as the truth, the models' first."""
        samples, seed = len(truth.wave), seed_of(self._config.seed, task.key)
        waves = {name: self._drawn(name, task, samples, 0) for name in self._models}
        waves |= {"truth": truth.wave, "redrawn": redrawn(truth, self._bands, seed)}
        if task.near is not None:
            waves["retrieval"] = fit_length(sound_of(self._training, task.near), samples)
        waves["shifted"] = shifted(truth.wave, self._bands.sample_rate)
        if task.other is not None:
            waves["shuffled"] = fit_length(sound_of(self._clips, task.other), samples)
        waves["noise"] = mean_noise(self._ruler.reference, self._bands, samples, seed)
        return {**waves, "silence": silence(samples)}

    def _drawn(self, name: str, task: ClipTask, samples: int, draw: int) -> Array:
        given = self._given(self._models[name], task.clip)
        return model_sound(self._models[name].decoder, given, samples, seed_of(self._config.seed, task.key, draw))

    def _given(self, model: LoadedAudio, clip: int) -> torch.Tensor:
        if model.decoder.input == "codes":
            return self._clips[clip]["codes"][None]
        video = self._videos[int(self._catalog.shard[clip])].frames(int(self._catalog.row[clip]))
        return given_of(model.decoder.input, model.encoder.model, video)

    def _over_seeds(self, name: str, task: ClipTask, first: Array) -> float:
        """Log-mel L1 of two draws of the model for one clip, dB: 0 for one that draws nothing."""
        another = self._drawn(name, task, len(first), 1)
        return log_mel_l1(listen(first, self._bands), listen(another, self._bands))

    def _made(self, task: ClipTask, truth: Heard) -> tuple[Truth, str]:
        row = self._clips.row(task.clip)
        try:
            found = find_truth(row, self._config.truth)
            return read_truth(found, row.start_s, truth.power.shape[1], truth.frame_rate), ""
        except NoTruth as missing:
            return Truth(), str(missing)

    def _motion(self, clip: int, truth: Heard) -> Array:
        shard, row = int(self._catalog.shard[clip]), int(self._catalog.row[clip])
        video = self._videos[shard].frames(row, 0, int(self._catalog.frames[clip]))
        return motion_energy(video, self._clips.geometry.fps, truth.frame_rate, truth.power.shape[1])

    def _notes(self, task: ClipTask) -> dict[str, str]:
        notes = {}
        if task.near is not None:
            near = self._training.row(task.near)
            notes["retrieval"] = f"{Path(near.source).name!a} from {near.start_s:g} s"
            notes["retrieval_distance"] = f"{task.apart:.4f}" if math.isfinite(task.apart) else ""
        if task.other is not None:
            other = self._clips.row(task.other)
            notes["shuffled"] = f"{Path(other.source).name!a} from {other.start_s:g} s"
        return notes
