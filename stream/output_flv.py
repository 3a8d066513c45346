"""HTTP-FLV: `/live/ROOM.flv`, what WeChat's live-player, mpegts.js, VLC and ffmpeg play."""

from stream.directory import Clock, Directory
from stream.fanout import ViewerLimits
from stream.tag_encoder import FlvEncoder
from stream.viewer import ProgressiveOutput


class FlvOutput(ProgressiveOutput):
    """Viewers of HTTP-FLV. A track that turns up late comes as tags; players take it though the header did not say."""

    def __init__(self, directory: Directory, clock: Clock, limits: ViewerLimits | None = None) -> None:
        super().__init__(directory, FlvEncoder, clock=clock, limits=limits, fixed_tracks=False)
