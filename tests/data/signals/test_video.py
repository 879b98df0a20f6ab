"""Video files and folders of frames: each with its own numbers, or refused in a sentence.

Files are written by PyAV alone, without a line of the package, and what is wanted is the array that they were made of.
"""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from inr_plugins.data.signals import video
from inr_plugins.data.signals.frame_folder import frame_files
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.video import read_video
from inr_plugins.data.signals.video_output import check_video_output, is_taken, write_video
from inr_plugins.errors import InputError

HEIGHT, WIDTH, FRAMES = 16, 24, 5


def moving(frames=FRAMES, height=HEIGHT, width=WIDTH, channels=3) -> np.ndarray:
    """Numbers that tell frame, row, column and channel."""
    index = np.meshgrid(range(frames), range(height), range(width), range(channels), indexing="ij")
    return sum(part * each for part, each in zip((37, 5, 3, 11), index, strict=True)).astype(np.uint8)


def put(path, frames, *, codec="ffv1", pix_fmt="bgr0", form="rgb24", rate=Fraction(25), **options):
    """A video file, lossless by default; frames may have several sizes where the codec is a list of pictures."""
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pix_fmt
        for each in frames:
            picture = each[..., 0] if each.shape[-1] == 1 else each
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=form).reformat(format=pix_fmt)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def decoded_by_ffmpeg(path, shape, *, pix_fmt="rgb24") -> np.ndarray:
    """What the ffmpeg program, another version of it, makes of a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", pix_fmt, "-"]
    run = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(run.stdout, dtype=np.uint8).reshape(shape)


@pytest.mark.parametrize(
    ("channels", "form", "pix_fmt"), [(1, "gray", "gray"), (3, "rgb24", "bgr0"), (4, "rgba", "bgra")]
)
def test_a_lossless_file_has_its_own_numbers(channels, form, pix_fmt, tmp_path):
    wanted = moving(channels=channels)
    put(tmp_path / "a.mkv", wanted, form=form, pix_fmt=pix_fmt, rate=Fraction(30000, 1001))
    found = read_video(tmp_path / "a.mkv")
    assert np.array_equal(found.pixels, wanted)
    assert found.rate == pytest.approx(30000 / 1001)
    words = {1: "grey", 3: "RGB", 4: "RGB with alpha"}[channels]
    assert found.kind.description() == f"5 frames of 24 x 16 pixels, 8-bit {words}, 29.97 frames a second"
    assert found.notes == ()


def test_more_than_eight_bits_are_sixteen(tmp_path):
    wanted = moving().astype(np.uint16) * 256 + 3
    put(tmp_path / "a.mkv", wanted, form="rgb48le", pix_fmt="gbrp16le")
    found = read_video(tmp_path / "a.mkv")
    assert np.array_equal(found.pixels, wanted)
    assert found.bits == 16


@pytest.mark.parametrize("turn", [0, 90])
def test_h264_is_what_ffmpeg_decodes_and_upright(turn, tmp_path):
    put(tmp_path / "flat.mp4", moving(height=32, width=48), codec="libx264", pix_fmt="yuv420p")
    path, shape = tmp_path / "flat.mp4", (FRAMES, 32, 48, 3)
    if turn:
        path, shape = tmp_path / "turned.mp4", (FRAMES, 48, 32, 3)
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-display_rotation", str(turn)]
        subprocess.run([*command, "-i", str(tmp_path / "flat.mp4"), "-c", "copy", str(path)], check=True)
    found = read_video(path)
    # Two versions of FFmpeg's scaler may round differently.
    assert np.abs(found.pixels.astype(int) - decoded_by_ffmpeg(path, shape)).max() <= 2
    assert found.origin == "h264, of 5 that the file announces"


def test_a_folder_is_read_by_the_numbers_in_its_names(tmp_path):
    wanted = moving(frames=3)
    for number, frame in zip((2, 10, 1), wanted, strict=True):
        Image.fromarray(frame).save(tmp_path / f"clip3_{number}.png")
    (tmp_path / "notes.txt").touch()
    found = read_video(tmp_path)
    assert np.array_equal(found.pixels, wanted[[2, 0, 1]])
    assert found.origin == "clip3_1.png to clip3_10.png, of 3 in the folder"
    assert [each.name for each in frame_files(tmp_path)] == ["clip3_1.png", "clip3_2.png", "clip3_10.png"]


def test_the_first_frames_alone_are_read_when_asked_for(tmp_path):
    put(tmp_path / "a.mkv", moving())
    assert np.array_equal(read_video(tmp_path / "a.mkv", first_frames=3).pixels, moving()[:3])
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(moving()):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{number}.png")
    assert np.array_equal(read_video(tmp_path / "frames", first_frames=2).pixels, moving()[:2])


def test_frames_that_take_much_memory_are_in_a_file(tmp_path):
    put(tmp_path / "a.mkv", moving())
    found = read_video(tmp_path / "a.mkv", most_bytes=2 * HEIGHT * WIDTH * 3)
    assert isinstance(found.pixels, np.memmap)
    assert np.array_equal(found.pixels, moving())
    assert not isinstance(read_video(tmp_path / "a.mkv").pixels, np.memmap)


def test_a_file_that_was_written_again_is_read_again(tmp_path):
    put(tmp_path / "a.mkv", moving())
    first = read_video(tmp_path / "a.mkv")
    assert read_video(tmp_path / "a.mkv") is first
    put(tmp_path / "a.mkv", moving(frames=3))
    assert len(read_video(tmp_path / "a.mkv").pixels) == 3


def test_a_gif_without_opacity_has_three_channels(tmp_path):
    frames = [Image.new("P", (8, 6), shade) for shade in (0, 1, 2)]
    for each in frames:
        each.putpalette([250, 0, 0, 0, 250, 0, 0, 0, 250])
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    found = read_video(tmp_path / "a.gif")
    assert found.pixels[:, 0, 0].tolist() == [[250, 0, 0], [0, 250, 0], [0, 0, 250]]


def test_a_gif_without_delays_is_not_one_frame(tmp_path):
    frames = [Image.fromarray(each) for each in moving()]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    # Without the blocks that say how long each is shown, FFmpeg takes all frames for one.
    (tmp_path / "a.gif").write_bytes(
        re.sub(rb"\x21\xf9\x04.{4}\x00", b"", (tmp_path / "a.gif").read_bytes(), flags=re.S)
    )
    with pytest.raises(InputError, match=f"announces {FRAMES} frames, and FFmpeg decodes one: write it again with a"):
        read_video(tmp_path / "a.gif")


def test_a_cut_file_that_announces_seconds_only_is_read_and_said(tmp_path):
    put(tmp_path / "a.mkv", moving(frames=12), codec="ffv1", pix_fmt="bgr0")
    assert read_video(tmp_path / "a.mkv").notes == ()
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    found = read_video(tmp_path / "cut.mkv")
    assert 2 <= len(found.pixels) < 12
    with av.open(str(tmp_path / "a.mkv")) as container:
        rate = float(container.streams.video[0].average_rate)
    lasts, ends = (f"{each / rate:.3g}" for each in (12, len(found.pixels)))
    wanted = f"The file says that it lasts {lasts} s, and its frames end after {ends} s: it may have been cut short."
    assert found.notes == (wanted,)
    # Whoever wants the first frames only is not told.
    assert read_video(tmp_path / "a.mkv", first_frames=3).notes == ()


def test_a_file_with_fewer_frames_than_it_announces_is_read_and_said(tmp_path):
    put(tmp_path / "a.mp4", moving(frames=40, height=64, width=64), codec="libx264", pix_fmt="yuv420p")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(tmp_path / "a.mp4"), "-c", "copy"]
    subprocess.run([*command, "-movflags", "faststart", str(tmp_path / "b.mp4")], check=True)
    whole = (tmp_path / "b.mp4").read_bytes()
    begin = whole.index(b"mdat")
    (tmp_path / "cut.mp4").write_bytes(whole[: begin + (len(whole) - begin) * 3 // 4])
    found = read_video(tmp_path / "cut.mp4")
    assert 2 <= len(found.pixels) < 40
    assert f"announces 40 frames and has {len(found.pixels)}" in found.notes[0]


def damaged(path):
    """Bits in the last third of a file, turned."""
    data = bytearray(path.read_bytes())
    for place in range(len(data) * 2 // 3, len(data) * 9 // 10, 97):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def test_a_damaged_file_is_read_as_far_as_it_goes_and_said(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3)).astype(np.uint8)
    put(tmp_path / "a.avi", noise, codec="mpeg4", pix_fmt="yuv420p")
    whole = read_video(tmp_path / "a.avi")
    damaged(tmp_path / "a.avi")
    found = read_video(tmp_path / "a.avi")
    assert whole.notes == ()
    (note,) = (each for each in found.notes if "damaged" in each)
    at = int(note.split("at frame ")[1].split()[0])
    assert note == f"The file is damaged at frame {at} or behind it, and is learnt as FFmpeg mends it."
    assert 4 <= at <= 9
    assert len(found.pixels) <= 12
    assert np.array_equal(found.pixels[:at], whole.pixels[:at])
    assert not np.array_equal(found.pixels[at:], whole.pixels[at : len(found.pixels)])


def sound_alone(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)


def test_what_is_no_such_video_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "notes.txt").write_text("no video either\n" * 50)
    put(tmp_path / "whole.mp4", moving(), codec="libx264", pix_fmt="yuv420p")
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    put(tmp_path / "one.mkv", moving(frames=1))
    # The pictures are all there, and the table of their sizes has more of them.
    at = whole.index(b"stsz") + 12
    (tmp_path / "count.mp4").write_bytes(whole[:at] + (80_000).to_bytes(4, "big") + whole[at + 4 :])
    pages = [Image.fromarray(each) for each in moving()]
    for name in ("pages.tif", "moves.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    sound_alone(tmp_path / "sound.mp4")
    Image.fromarray(moving()[0]).save(tmp_path / "picture.png")
    for folder in ("empty", "sizes", "kinds", "names", "twice", "unnumbered", "single"):
        (tmp_path / folder).mkdir()
    for folder, name, pixels in (
        ("sizes", "1.png", moving()[0]),
        ("sizes", "2.png", moving(height=15)[0]),
        ("kinds", "1.png", moving()[0]),
        ("kinds", "2.png", moving(channels=4)[0]),
        ("names", "a1.png", moving()[0]),
        ("names", "b2.png", moving()[0]),
        ("twice", "f1.png", moving()[0]),
        ("twice", "f01.png", moving()[0]),
        ("unnumbered", "first.png", moving()[0]),
        ("single", "1.png", moving()[0]),
    ):
        Image.fromarray(pixels).save(tmp_path / folder / name)
    said = {
        "text.mp4": "is no video that can be read",
        "notes.txt": "has no pictures in it",
        "cut.mp4": "is no video that can be read",
        "one.mkv": "has one frame: learn it as an image, with ns-train diner-image",
        "picture.png": "has one frame",
        "count.mp4": r"announces [\d,]+ frames, of which FFmpeg decodes none: give another file",
        "pages.tif": f"has {FRAMES} pictures, of which FFmpeg does not make a video: give a folder of them, numbered",
        "moves.webp": f"has {FRAMES} pictures, of which FFmpeg does not make a video",
        "sound.mp4": "has no pictures in it",
        "missing.mp4": "does not exist: give a video file, or a folder",
        "empty": "has no frames: give a folder of pictures",
        "sizes": r"2\.png has 24 x 15 pixels of 3 x 8 bits, and 1\.png has 24 x 16 pixels",
        "kinds": r"2\.png has 24 x 16 pixels of 4 x 8 bits, and 1\.png",
        "names": r"pictures of several names \(a1\.png, b2\.png\)",
        "twice": r"two frames of one number \(f01\.png, f1\.png\)",
        "unnumbered": "has no number in its name",
        "single": "has one frame",
    }
    for name, words in said.items():
        with pytest.raises(InputError, match=words):
            read_video(tmp_path / name)


def test_a_video_that_changes_its_size_is_refused(tmp_path):
    for name, height in (("a.ts", 32), ("b.ts", 48)):
        put(tmp_path / name, moving(height=height, width=64), codec="mpeg2video", pix_fmt="yuv420p")
    both = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    (tmp_path / "both.ts").write_bytes(both)
    with pytest.raises(InputError, match=r"changes its size from 64 x 32 to 64 x 48 pixels at frame \d+") as refused:
        read_video(tmp_path / "both.ts")
    count = int(str(refused.value).split("at frame ")[1].split(":")[0])
    assert len(read_video(tmp_path / "both.ts", first_frames=count).pixels) == count


def test_a_video_given_as_an_image_names_the_methods_for_it(tmp_path):
    put(tmp_path / "a.mkv", moving())
    with pytest.raises(InputError, match="is a video by its name: learn it with ns-train diner-video"):
        read_image(tmp_path / "a.mkv")


def test_without_pyav_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    put(tmp_path / "a.mkv", moving())
    monkeypatch.setitem(sys.modules, "av", None)
    video._read.cache_clear()
    with pytest.raises(InputError, match=r"takes PyAV, which cannot be loaded .*pip install av"):
        read_video(tmp_path / "a.mkv")


def test_more_pixels_than_can_be_learnt_are_refused_while_reading(tmp_path, monkeypatch):
    put(tmp_path / "a.mkv", moving())
    monkeypatch.setattr(video, "LARGEST_MOST", 3 * HEIGHT * WIDTH)
    with pytest.raises(InputError, match=r"more than 1,152 pixels in its frames: give --pipeline.*first-frames"):
        read_video(tmp_path / "a.mkv")
    assert len(read_video(tmp_path / "a.mkv", first_frames=3).pixels) == 3


# -- written videos ----------------------------------------------------------------------------------------------------


def decoded(path) -> np.ndarray:
    """By PyAV alone, as RGB."""
    with av.open(str(path)) as container:
        return np.stack([each.to_ndarray(format="rgb24") for each in container.decode(video=0)])


@pytest.mark.parametrize(("width", "height"), [(24, 16), (23, 15)])
def test_mkv_and_folders_lose_nothing_and_mp4_little(width, height, tmp_path):
    wanted = moving(width=width, height=height) // 2 + 40
    write_video(tmp_path / "a.mkv", iter(wanted), rate=12.5)
    assert np.array_equal(decoded(tmp_path / "a.mkv"), wanted)
    assert read_video(tmp_path / "a.mkv").rate == 12.5
    write_video(tmp_path / "frames", iter(wanted), rate=25, first=7)
    files = sorted((tmp_path / "frames").iterdir())
    assert [each.name for each in files] == [f"frame_{number:05}.png" for number in range(7, 12)]
    assert np.array_equal(np.stack([np.asarray(Image.open(each)) for each in files]), wanted)
    grey = np.repeat(wanted[..., :1], 3, -1)
    write_video(tmp_path / "a.mp4", iter(grey), rate=25)
    # Without colours nothing is lost by halving them: range and matrix are told, and mean the same to who reads it.
    assert np.abs(decoded(tmp_path / "a.mp4").astype(int) - grey).mean() < 2
    assert np.abs(decoded_by_ffmpeg(tmp_path / "a.mp4", grey.shape).astype(int) - grey).mean() < 2


def test_colours_of_an_mp4_are_those_that_were_given(tmp_path):
    patches = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    patches[:, :, :16], patches[:, :, 16:] = (200, 40, 30), (20, 90, 220)
    write_video(tmp_path / "a.mp4", iter(patches), rate=25)
    for found in (decoded_by_ffmpeg(tmp_path / "a.mp4", patches.shape), read_video(tmp_path / "a.mp4").pixels):
        assert np.abs(found[:, 8:24, [4, 28]].astype(int) - patches[:, 8:24, [4, 28]]).max() <= 4


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_survive_in_an_mkv(channels, tmp_path):
    wanted = moving(channels=channels).astype(np.uint16) * 251 + 13
    write_video(tmp_path / "a.mkv", iter(wanted), rate=25)
    found = read_video(tmp_path / "a.mkv")
    assert (found.bits, found.pixels.dtype) == (16, np.uint16)
    assert np.array_equal(found.pixels, wanted)


def test_places_and_names_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "there.mkv").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"mine")
    for folder, name in (("frames", "frame_00001.png"), ("others", "letter.txt"), ("a.mp4", "x")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"mine")
    for name, bits, channels, words in (
        ("others", 8, 3, r"has other files in it \(letter\.txt\)"),
        ("a.mp4", 8, 3, "is a folder: give a video file"),
        ("file", 8, 3, "is a file, and no folder"),
        ("new.mp4", 16, 3, "has no room for 16 bits"),
        ("new.mp4", 8, 4, "has no room for an opacity"),
    ):
        with pytest.raises(InputError, match=words):
            check_video_output(tmp_path / name, bits=bits, channels=channels)
    (tmp_path / "empty").mkdir()
    for name, there in (("there.mkv", True), ("frames", True), ("new.mkv", False), ("new", False), ("empty", False)):
        check_video_output(tmp_path / name, bits=8, channels=3)
        assert is_taken(tmp_path / name) == there


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "frames"])
def test_a_video_that_fails_half_way_leaves_nothing(name, tmp_path):
    def frames():
        yield moving()[0]
        raise MemoryError

    with pytest.raises(MemoryError):
        write_video(tmp_path / name, frames(), rate=25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_more_than_eight_bits_of_ycbcr_reach_from_black_to_white(bits, is_full, tmp_path):
    scale = 1 << (bits - 8)
    low, luma, chroma = (0, 2**bits - 1, 2**bits - 1) if is_full else (16 * scale, 219 * scale, 224 * scale)
    height, width = 16, 32
    y = np.broadcast_to(np.rint(low + luma * np.linspace(0, 1, width)), (height, width))
    off = np.linspace(-0.05, 0.05, height)[:, None] * np.ones(width)
    planes = [y, np.rint(128 * scale + chroma * off), np.rint(128 * scale - chroma * off)]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, f"yuv444p{bits}le"
        stream.codec_context.color_range = 2 if is_full else 1
        for _ in range(2):
            frame = av.VideoFrame(width, height, stream.pix_fmt)
            frame.color_range = 2 if is_full else 1
            for plane, numbers in zip(frame.planes, planes, strict=True):
                rows = np.zeros((height, plane.line_size // 2), dtype="<u2")
                rows[:, :width] = numbers
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = read_video(tmp_path / "a.mkv").pixels
    assert found.dtype == np.uint16
    # BT.601, by hand.
    light, blue, red = (planes[0] - low) / luma, *((each - 128 * scale) / chroma for each in planes[1:])
    r, b = light + 1.402 * red, light + 1.772 * blue
    wanted = np.stack([r, (light - 0.299 * r - 0.114 * b) / 0.587, b], -1).clip(0, 1)
    error = found / 65535 - wanted
    # Of ten bits a step is 0.001; FFmpeg's own white would be 0.996.
    assert np.abs(error).max() < 2.5e-4
    assert abs(error.mean()) < 1e-4
