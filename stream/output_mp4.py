"""Progressive fragmented MP4: `/live/ROOM.mp4`, for Media Source in browsers and whatever reads MP4 from a pipe."""

from stream.directory import Clock, Directory
from stream.fanout import ViewerLimits
from stream.mp4_encoder import Mp4Encoder
from stream.viewer import ProgressiveOutput


class Mp4Output(ProgressiveOutput):
    """Viewers of progressive MP4. Media Source allows no other set of tracks later: then viewers have to come back."""

    def __init__(self, directory: Directory, clock: Clock, limits: ViewerLimits | None = None) -> None:
        super().__init__(directory, Mp4Encoder, clock=clock, limits=limits, fixed_tracks=True)
