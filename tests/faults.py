"""The faults that vidrain must survive: what can be wrong with a file, a disk or a run, and what happens then.

Tests that commit one carry `@pytest.mark.fault(number)`. `tools/make_docs.py` writes docs/faults.md from both;
tests/unit/test_promises.py fails while a fault has no test.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong, what vidrain does about it, and the exit codes that it may end with."""

    what: str
    then: str
    exits: tuple[int, ...]


FAULTS = {
    1: Fault("the path is missing, is a folder, or may not be read", "said before anything is written", (3,)),
    2: Fault("an empty file", "said so", (3,)),
    3: Fault("text that is called .mp4", "no video; no traceback", (3,)),
    4: Fault("sound alone, or a cover picture as the only video", "no video; the cover is never cleaned", (3,)),
    5: Fault("an MP4 without its index, after a power cut", "the cause is named; the file is not touched", (3,)),
    6: Fault("an MP4 with its index in front, cut short", "cleaned as far as it goes, the lost time named", (4,)),
    7: Fault("Matroska or a transport stream cut short", "the same, though FFmpeg reads it without a word", (4,)),
    8: Fault("a tail of zeros", "the same", (4,)),
    9: Fault(
        "flipped bits in coded frames",
        "read past; frames known to be lost are concealed or dropped, named",
        (0, 3, 4),
    ),
    10: Fault(
        "the first frames need others that are not there", "begins at the first key frame; sound in step", (0, 4)
    ),
    11: Fault("an index that points behind the end of the file", "the box is named; no endless loop", (3, 4)),
    12: Fault("a head that promises more frames than there are", "frames are counted, the total corrected", (0, 4)),
    13: Fault("a head without a number of frames or a duration", "works, with the frames counted", (0,)),
    14: Fault("gaps, equal and backward times", "times exact; those that cannot stand are moved and counted", (0,)),
    15: Fault("a start other than zero, negative decoding times, edit lists", "sound and picture keep step", (0,)),
    16: Fault("times beyond 2^31, a transport stream whose 33-bit clock wraps", "times exact", (0,)),
    17: Fault("odd sizes, 2x2, strips of a pixel", "stored as 4:4:4 with a note, or padded on request", (0, 2)),
    18: Fault(
        "size or pixel format changes in mid-stream",
        "refused at the frame where it changes; what comes before is had with --end",
        (0, 3),
    ),
    19: Fault("HDR (PQ, HLG)", "kept: tags, depth and static metadata; nothing washed out", (0,)),
    20: Fault(
        "full range, BT.601, BT.709, BT.2020, untagged", "the right matrix both ways; what is assumed is said", (0,)
    ),
    21: Fault("rotation, mirroring, samples that are not square", "kept; the stored picture is not turned", (0,)),
    22: Fault("interlaced video", "cleaned as whole frames, with a warning", (0,)),
    23: Fault("several video, sound, text and data tracks, attachments", "each is carried, or named", (0,)),
    24: Fault("a container that refuses a stream", "found out before the first frame; converted or named", (0, 2)),
    25: Fault(
        "a kill at any moment (SIGKILL, power)",
        "nothing half-made under a final name; the same command goes on, and gives the same bytes",
        (0,),
    ),
    26: Fault(
        "Ctrl-C and SIGTERM", "stops within two seconds; nothing half-made stays, finished segments do", (130, 143)
    ),
    27: Fault("a disk that is full", "nothing half-made, what is finished stays, goes on when there is room", (0, 5)),
    28: Fault(
        "a target that cannot be written or vanishes; a source that changes", "nothing is kept, the cause named", (3, 5)
    ),
    29: Fault(
        "memory that runs out, a device that is lost, a worker that is killed or crashes",
        "one line, finished segments stay, the same command goes on; a batch tries the file again, then explains it",
        (0, 1, 7),
    ),
    30: Fault("weights that are cut, foreign or broken; a model that gives no numbers", "refused, or said", (0, 7)),
    31: Fault("two runs on one folder; the lock of a dead one", "the second is busy; a dead one is taken over", (0, 6)),
    32: Fault("names with spaces, new lines, a leading dash, 250 letters; output = input", "works, or refused", (0, 2)),
    33: Fault("a decoder or a disk that stalls", "ended by a watchdog", (3,)),
    34: Fault(
        "a source that goes away while it is read: a card, a share",
        "never taken for the end of the file; finished segments stay, the same command goes on",
        (3,),
    ),
}
