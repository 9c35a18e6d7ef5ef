"""Which containers may be read, and the decoder options that hold every reader to them."""

from __future__ import annotations

# Demuxers of single files that hold moving pictures, by libavformat's names. Left out on purpose: everything that names other
# files or addresses (hls, dash, concat, imf, sdp, rtsp, image sequences, vobsub, webm_dash_manifest), devices and generators
# (lavfi, x11grab), text, and sound-only formats.
ALLOWED_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "kux", "asf", "asf_o",
    "ogg", "rm", "mxf", "nut", "gxf", "dv", "wtv", "ivf", "h264", "hevc", "vvc", "m4v", "obu", "av1", "vc1", "dirac", "cavsvideo",
    "gif", "apng", "yuv4mpegpipe", "mjpeg", "nsv", "nuv", "amv", "roq", "bink", "smk", "swf",
)  # fmt: skip

# Their index leads to the key frame before a time. Transport and program streams are searched by guessing positions, and their
# time stamps may start anew: they are read from the beginning.
SEEKABLE_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


def decoder_pixels(pixels: int) -> int:
    """What to tell decoders: they compare the coded size, which is rounded up to whole blocks of up to 128 pixels."""
    return min(pixels + pixels // 4 + (1 << 16), 2**31 - 1)


def input_options(pixels: int) -> dict[str, str]:
    """Options of an input, the same for ffmpeg and for PyAV.

    Args:
        pixels: largest picture that may be decoded, width times height; holds for changes in mid-stream, too.
    """
    return {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(ALLOWED_FORMATS),
        "max_pixels": str(decoder_pixels(pixels)),
    }
