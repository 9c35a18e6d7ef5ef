"""The measures of an evaluation: what is good, and what each says, in words. docs/evaluation.md has them in full."""

from __future__ import annotations

from dataclasses import dataclass

SMALL, LARGE, ZERO, NONE = "small", "large", "near 0", ""


@dataclass(frozen=True)
class Measure:
    """A column.

    Attributes:
        key: in `metrics.json`: of a candidate's "scores", or of the candidate itself.
        title: of the column.
        aim: SMALL, LARGE, ZERO, or NONE where more is neither better nor worse.
        form: format of a value.
        meaning: what it says, and its trap.
        scale: that a value is multiplied with before it is written.
    """

    key: str
    title: str
    aim: str
    form: str
    meaning: str
    scale: float = 1


SOUND = (
    Measure("stft", "STFT", SMALL, "{:.2f}",
            "Multi-resolution distance of spectra, from 0 up. Two draws of one noise are 1.3 apart."),
    Measure("log_mel_db", "log-mel dB", SMALL, "{:.2f}",
            "Mean absolute difference in 64 mel bands, dB. Two draws of one noise are 3 dB apart: see the row redrawn."),
    Measure("envelope_r", "envelope r", LARGE, "{:.2f}",
            "Correlation of loudness over time, −1 to 1: does it swell and fade when the truth does? Blind to how loud it is."),  # noqa: RUF001
    Measure("envelope_db", "envelope dB", SMALL, "{:.1f}", "Mean absolute difference of loudness over time, dB."),
    Measure("centroid_r", "centroid r", LARGE, "{:.2f}",
            "Correlation of the spectral centroid, where the truth is heard: does it brighten and darken as the truth does?"),
    Measure("onset_f1", "onset F1", LARGE, "{:.2f}",
            "Onsets within 100 ms of the truth's, 0 to 1, a mean over clips that have any: compare at one n only."),
    Measure("level_abs_db", "abs. level dB", SMALL, "{:.1f}", "Absolute error of the loudness of a whole clip, dB."),
    Measure("level_db", "level dB", ZERO, "{:+.1f}",
            "The same with its sign: above 0 is too loud. A mean near 0 may hide a spread."),
)  # fmt: skip
TIME = (
    Measure("sync_onset_abs_s", "onsets to truth, ms", SMALL, "{:.0f}",
            "Median size of the shift that makes onsets fit the truth's best. Chance is 1,000 to 1,200 ms.", 1000),
    Measure("sync_energy_abs_s", "energy to truth, ms", SMALL, "{:.0f}", "The same for loudness.", 1000),
    Measure("sync_motion_abs_s", "energy to motion, ms", NONE, "{:.0f}",
            "The same against the change of the picture. What moves most is not always what sounds: compare with truth.", 1000),
    Measure("sync_onset_fit", "fit of onsets", LARGE, "{:.2f}", "How well onsets fit at that shift, −1 to 1."),  # noqa: RUF001
    Measure("sync_energy_fit", "fit of energy", LARGE, "{:.2f}",
            "How well loudness fits at its shift; slow humps fit anywhere."),
    Measure("onsets", "onsets", NONE, "{:.1f}", "Onsets in a clip, a mean; the truth's number is the right one."),
)  # fmt: skip
SYNTHETIC = (
    Measure("impact_f1", "impact F1", LARGE, "{:.2f}",
            "Onsets within 100 ms of the moments when rendered blows are heard, 0 to 1."),
    Measure("curve_r", "level curve r", LARGE, "{:.2f}", "Correlation of loudness with what distance, type and power make it."),
    Measure("curve_db", "level curve dB", SMALL, "{:.1f}", "Mean absolute difference from that, dB."),
    Measure("distance_slope", "distance slope", NONE, "{:.2f}",
            "dB of level for a dB of distance; −1 is how sound spreads."),  # noqa: RUF001
    Measure("doppler_r", "Doppler r", LARGE, "{:.2f}", "Correlation of the pitch with that of propellers as they come and go."),
    Measure("doppler_missed", "pitch missed", SMALL, "{:.2f}", "Share of moments whose pitch is more than a semitone off."),
)  # fmt: skip
TOGETHER = (
    Measure("mmd", "squared MMD", NONE, "{:.4f}",
            "Distance of all sounds from all true ones; 0 is the same distribution; wrong sounds of the right kind have it."),
    Measure("diversity", "diversity", NONE, "{:.2f}",
            "How different the sounds are from each other, as a share of the truth's; 1 is right."),
    Measure("nearest_ratio", "nearest training", NONE, "{:.2f}",
            "Distance to the nearest training clip, truth's is 1; 0 is learned by heart."),
    Measure("mse_ratio", "MSE ÷ silence's", NONE, "{:.2f}",
            "Error of the samples; a different true sound has 2, so below 1 is not better sound."),
    Measure("onset_f1", "pooled onset F1", LARGE, "{:.2f}", "Onset F1 of the onsets of all clips together: may be compared."),
    Measure("of_noise", "log-mel ÷ noise's", SMALL, "{:.2f}",
            "Below 1 is better than steady noise of the corpus' mean spectrum."),
    Measure("of_retrieval", "log-mel ÷ retrieval's", SMALL, "{:.2f}",
            "Below 1 is better than the sound of the training clip that looks most alike."),
)  # fmt: skip

# Baselines by what they know. Those made of the truth show what a measure can reach, and are no rivals of a model.
NULLS = ("retrieval", "shuffled", "noise", "silence")
FROM_TRUTH = ("truth", "redrawn", "shifted")
BASELINES = {
    "truth": "the true sound",
    "redrawn": "noise with the truth's own loudness in each band: the floor of a decoder that draws noise",
    "shifted": "the truth, 0.5 s late", "retrieval": "sound of the training clip whose codes are nearest: copying",
    "shuffled": "the truth of another video: chance", "noise": "steady noise, the corpus' mean: without looking",
    "silence": "nothing: what the paper's loss tends to",
}  # fmt: skip
