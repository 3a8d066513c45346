"""A track whose configuration comes after the picture began, as with hosts whose sound is transcoded on the way."""

from stream.directory import Directory
from stream.packet import Kind
from tests.stream.media import Clip
from tests.stream.stage import Host


def test_a_configuration_that_comes_after_the_key_frame_is_among_those_a_reader_starts_with(clip: Clip) -> None:
    directory = Directory(lambda: 0)
    publication = directory.publish("room", Host(), 0)
    video, audio = clip.only(Kind.VIDEO), clip.only(Kind.AUDIO)
    for packet in (*video[:5], *audio[:5]):
        publication.push(packet, 0)
    assert publication.relay.playing
    assert [packet.kind for packet in publication.relay.configs()] == [Kind.VIDEO, Kind.AUDIO]
