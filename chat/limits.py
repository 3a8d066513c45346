"""Every limit of the hub, with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

KIB = 1024


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Bounds of what one room keeps and of what one person may do in it."""

    history_events: int = 1_000
    """Events kept for resuming: 5 s of a room at its cap of 200 chat lines a second."""
    history_bytes: int = 512 * KIB
    """Bytes of kept events: what a resuming client may be sent in one frame."""
    history_age_ms: int = 600_000
    """Age of kept events; after 10 min away a client wants the present state."""
    snapshot_events: int = 50
    """Recent events shown to a newcomer: about two screens of chat on a phone."""
    resume_bytes: int = 2048 * KIB
    """Encoded resumptions kept between two frames: after a drain thousands resume from a few offsets."""
    chat_per_s: int = 200
    """Chat lines of viewers a second and room; above it lines are sampled. Nobody reads more."""
    chat_person_per_s: float = 2.0
    chat_person_burst: int = 5
    """Chat lines of one person: as fast as thumbs type."""
    chat_address_per_s: float = 20.0
    chat_address_burst: int = 60
    """Chat lines from one address, whoever says them: a carrier's NAT talks, a machine with many names floods."""
    text_chars: int = 500
    """Characters of a chat line or notice."""
    likes_per_command: int = 100
    """Taps that one `like` may carry: clients merge 1–3 s of taps."""
    people_tracked: int = 50_000
    """People whose rate or mute is remembered; the longest unseen are forgotten first."""
    slow_s_max: int = 3_600
    """Longest slow mode: an hour between two lines of one viewer."""
    words: int = 2_000
    """Words of a room's filter: a change of them holds up the loop for 4 ms, and goes over the bus in one piece."""
    word_chars: int = 32
    """Characters of such a word: a filter is for words, not for sentences."""
    bans: int = 10_000
    """People banned from one room at once: 2 MB. Above it a new ban is refused, as none may be forgotten."""
    questions: int = 100
    """Questions that wait in one room: more than a host answers in an hour."""
    questions_person: int = 3
    """Questions of one person that wait."""
    poll_options: int = 10
    """Answers to choose from: what fits on a phone."""
    option_chars: int = 60
    poll_s_max: int = 86_400
    """Longest time after which a poll ends by itself: a day, as a show may be an event of many hours."""
    personal_events: int = 64
    """Personal events kept for one person until acknowledged."""
    personal_age_ms: int = 3_600_000
    """Age of kept personal events: orders and coupons stay readable over the API."""
    personal_total: int = 200_000
    """Personal events kept in one room: 50 MB at 250 bytes each."""
    personal_people: int = 50_000
    """People with kept personal events in one room; the longest unchanged are forgotten first."""


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Bounds of connections, of frames and of the time between them."""

    room: RoomLimits = field(default_factory=RoomLimits)

    frame_bytes: int = 16 * KIB
    """Longest message of a client: an order of 50 lines is 5 KB."""
    commands_per_frame: int = 50
    commands_per_s: int = 20
    commands_burst: int = 40
    """Commands of one connection; above it they are answered `rate`."""
    flood_per_s: int = 200
    flood_burst: int = 400
    """Frames or commands of one connection; above it (200 a second for 2 s) it is closed with 4429."""
    commands_in_flight: int = 32
    """Commands of one connection that wait for their answer; above it `busy`."""
    coroutines: int = 1_000
    """Commands in the whole hub that run as a task; above it `busy`."""
    callers: int = 5_000
    """Clients over HTTP whose command ids are remembered: 20 MB. The longest silent are forgotten first."""
    command_s: float = 10.0
    """Longest run of a command that is a coroutine."""
    ids_remembered: int = 64
    """Command ids per connection that are known to be repeats."""

    connections: int = 50_000
    connections_retry_ms: int = 5_000
    joins_per_s: int = 2_000
    joins_burst: int = 4_000
    """Joins of the whole hub: leaves half a core for those who are in."""
    head_bytes: int = 64 * KIB
    """Bytes of a request's head, in case it comes in pieces."""

    tick_ms: int = 50
    """What happens within a tick becomes one frame. Under what a person notices; 20 writes a second and socket."""
    tick_ms_per_line: float = 0.48
    """The tick lasts so many ms for each line of chat a second, if that is longer: a room at its cap of 200 gets ten
    frames of 19 lines a second, instead of twenty of 10. Only a phone's radio, and our core, can tell these apart."""
    tick_ms_hot: int = 250
    """Longest tick for the sake of chat."""
    tick_ms_max: int = 1_000
    """Longest tick of a room whose pass over its sockets takes long."""
    likes_ms: int = 250
    """How long a sum of likes waits for company: it is never urgent."""
    viewers_ms: int = 1_000
    """The count of viewers is published at most this often."""
    slice_sockets: int = 150
    slice_ms: float = 2.0
    """A pass yields to the loop after so many sockets or so long, so that a hold never waits behind 20,000 writes.

    A transport writes at the end of the loop's turn, which the time does not see: 150 sockets are 1 to 2 ms of the
    kernel's, in which nobody else has the interpreter either. At 500, holds beside a show of 15,000 took twice as long.
    """
    slice_rest_ms: float = 1.0
    """A pass rests so long between two slices while another thread has work: the interpreter lock is else given away
    only each 5 ms, and a ledger's batch needs it a dozen times."""

    notsent_bytes: int = 64 * KIB
    """TCP_NOTSENT_LOWAT: without it the kernel swallows megabytes before a stalled reader shows."""
    soft_bytes: int = 64 * KIB
    """Bytes waiting in a socket's buffer above which it loses likes and counts (P3)."""
    chat_bytes: int = 128 * KIB
    """… above which it loses chat (P2), too."""
    skip_bytes: int = 256 * KIB
    """… above which it gets nothing of the room until it has drained, and then the present state."""
    hard_bytes: int = 1024 * KIB
    """… above which it is closed with 4008."""
    stall_ms: int = 30_000
    """A socket that stays above the soft limit so long is closed with 4008."""

    ping_ms: int = 25_000
    """A ping goes to who was silent so long: under the 30 s after which mobile networks forget a flow."""
    silent_ms: int = 60_000
    """Who was silent so long is gone."""
    closing_ms: int = 5_000
    """Time a peer has to answer a close frame before its socket is cut."""
    discard_bytes: int = 1024 * KIB
    """What is read and thrown away after a close, so that the close frame is not lost to a reset."""
    wheel_ms: int = 250
    wheel_round_ms: int = 5_000
    """One timer walks over all connections, a part each `wheel_ms`, all of them within a round."""
    polls: int = 5_000
    """Clients that poll: each answer costs a request, some 0.5 ms of the process."""
    polls_per_address: int = 200
    """Clients of one address that poll (of IPv6 a /64; loopback and trusted proxies exempt), as with connections."""
    poll_wait_ms: int = 25_000
    """Longest wait for something to tell: under the 30 s after which proxies give up."""
    poll_pause_ms: int = 250
    """Shortest time between two answers to one client: four requests a second, what comes meanwhile goes together."""
    poll_gone_ms: int = 30_000
    """Who has not asked for so long is gone."""
    drain_jitter_ms: int = 5_000
    """Spread over which drained clients are asked to come back."""


@dataclass(frozen=True, slots=True)
class BusLimits:
    """Bounds of the bus between nodes: what waits, how long, and how much of it is kept."""

    tick_ms: int = 50
    """A node says at most one thing a tick to a room, urgent ones apart: the hub merges as long anyway."""
    entry_bytes: int = 256 * KIB
    """Bytes of one entry; what is left goes with the next."""
    waiting_bytes: int = 1024 * KIB
    """Bytes that wait for a room; above it chat and sums are dropped …"""
    waiting_bytes_max: int = 4096 * KIB
    """… and above this everything is: a room says a hundred KB a second at most, so the bus has been gone for long."""
    early_entries: int = 1_000
    """Entries that are kept while a room catches up; those beyond are read from the log again."""
    log_entries: int = 2_000
    """Entries in a room's log: at two nodes and a tick of 50 ms, 50 s of a room that never rests."""
    checkpoint_entries: int = 500
    """Whoever says each so-manieth entry writes the state down: a quarter of the log, so three may be missed."""
    idle_s: int = 86_400
    """What the bus keeps of a room goes when nothing was said for a day."""
    once_s: int = 3_600
    once_remembered: int = 10_000
    """How long, and how many in one process, an event's id is known to have been told."""
    answer_s: float = 1.0
    """Longest wait for an answer of the bus; a local one takes 0.3 ms, one in another zone 3 ms."""
    grace_ms: int = 1_000
    """How long a bus may be away before rooms go on alone: a failover or restart often takes less."""
    reconnect_ms: int = 500
    """Pause between two tries to reach a lost bus."""
    silent_s: float = 3.0
    """A subscription from which nothing comes for so long, pings included, is dead."""
    ping_s: float = 1.0
    count_ms: int = 2_000
    """How often a node tells how many people it has in a room, and learns how far the log is."""
    count_expires_ms: int = 6_000
    """When the people of a node that says nothing are gone: three tells missed. A dead node leaves no ghosts."""
    linger_ms: int = 60_000
    """How long a room that nobody is in is still kept up to date: people come back."""
    attach_s: float = 3.0
    """Longest time that somebody waits to enter a room this node did not have; then it opens alone."""
    attaches: int = 16
    """Rooms that catch up at a time: after an outage all do."""
    connections: int = 32
    """Connections to each server of the bus."""


@dataclass(frozen=True, slots=True)
class MailboxLimits:
    """Bounds of personal events on their way to a store and from it."""

    batch: int = 500
    """Events, acknowledgements or people in one step of the store: some milliseconds of it."""
    waiting: int = 50_000
    """Events that wait to be written, and people whose acknowledgement does; above it the sender tries again."""
    look_ms: int = 20
    """Shortest time from one read to the next: a read for each of 2,000 joins a second would cost a third of a core."""
    retry_ms: int = 1_000
    """Pause after the store refused."""
    tries: int = 30
    """How often it is asked for what waits for a person; they may come again."""
    close_s: float = 5.0
    """How long the end of the process waits for the last batch."""
