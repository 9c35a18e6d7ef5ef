"""What the whole shards of a folder hold: which inputs are done, and whose each clip is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from v2a.prepare.failures import Failure, Key
from v2a.shards.folder import shard_paths
from v2a.shards.identity import moment_of
from v2a.shards.reader import Shard
from v2a.shards.records import Moment, VideoRecord
from v2a.whole import write_whole


@dataclass(frozen=True)
class Owner:
    """The input that a clip was made for; `label` is what the clip's row says."""

    source: str
    span: str
    label: str

    @property
    def key(self) -> Key:
        """Which input it is."""
        return self.source, self.span


@dataclass
class Content:
    """What is held of one video's content.

    Attributes:
        group: of all its clips.
        labels: of each clip.
        owners: of each clip; one without is left of a run that was killed, and free to be taken over.
    """

    group: str = ""
    labels: dict[Moment, str] = field(default_factory=dict)
    owners: dict[Moment, Owner] = field(default_factory=dict)

    def claim(self, key: Key, moments: Iterable[Moment]) -> None:
        """These clips are this input's, but for those that are another's."""
        made: dict[str, Owner] = {}
        for moment in moments:
            label = self.labels[moment]
            self.owners.setdefault(moment, made.setdefault(label, Owner(*key, label)))

    def add(self, other: Content) -> None:
        """What is held elsewhere, too."""
        self.labels = other.labels | self.labels
        self.owners = other.owners | self.owners

    @property
    def has_orphans(self) -> bool:
        """Whether some clip is no input's."""
        return len(self.owners) < len(self.labels)


@dataclass
class Done:
    """What the whole shards of a folder hold.

    Attributes:
        records: of inputs all of whose clips are there, by input; several when its file changed.
        contents: what is held, by content hash.
    """

    records: dict[Key, list[VideoRecord]] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)

    def take(self, record: VideoRecord) -> None:
        """A record counts when none of its clips was lost with another shard."""
        content = self.contents.setdefault(record.content, Content())
        if record.moments and content.labels.keys() >= set(record.moments):
            self.records.setdefault((record.source, record.span), []).append(record)
            content.claim((record.source, record.span), record.moments)

    def has(self, key: Key, size: int, mtime_ns: int) -> bool:
        """Whether this input has clips of its file as it was then."""
        return any((r.bytes, r.mtime_ns) == (size, mtime_ns) for r in self.records.get(key, ()))

    def holds(self, failure: Failure) -> bool:
        """Whether all those that a duplicate's clips belong to have clips of that content."""
        return bool(failure.owners) and all(
            any(record.content == failure.content for record in self.records.get(key, ())) for key in failure.owners
        )


def read_done(folder: Path) -> Done:
    """What all whole shards hold; reads tables only.

    Raises:
        v2a.shards.errors.ShardError: one is damaged.
    """
    done, records = Done(), []
    for path in shard_paths(folder):
        with Shard(path) as shard:
            for row in shard.rows():
                content = done.contents.setdefault(row.content, Content(row.group))
                content.group = min(content.group, row.group)
                content.labels.setdefault(moment_of(row.start_s, row.frames), row.label)
            records += shard.videos()
    for record in records:  # a record may stand in another shard than the first of its clips
        done.take(record)
    return done


def write_held(path: Path, done: Done, wanted: Iterable[str]) -> None:
    """Put down for the workers what is held of these contents, and of those that a killed run left unfinished."""
    contents = {*wanted, *(name for name, content in done.contents.items() if content.has_orphans)}
    held = [[name, _as_lists(done.contents[name])] for name in sorted(contents) if name in done.contents]
    write_whole(path, json.dumps(held).encode())


def read_held(path: Path) -> dict[str, Content]:
    """The inverse of `write_held`."""
    return {name: _of_lists(**values) for name, values in json.loads(path.read_text())}


def _as_lists(content: Content) -> dict[str, object]:
    owners = list(dict.fromkeys(content.owners.values()))
    place = {owner: number for number, owner in enumerate(owners)}
    clips = [
        [*moment, label, place[content.owners[moment]] if moment in content.owners else -1]
        for moment, label in content.labels.items()
    ]
    return {"group": content.group, "owners": [list(asdict(owner).values()) for owner in owners], "clips": clips}


def _of_lists(group: str, owners: list[list[str]], clips: list[tuple[int, int, str, int]]) -> Content:
    content, known = Content(group), [Owner(*owner) for owner in owners]
    for start_us, frames, label, owner in clips:
        content.labels[start_us, frames] = label
        if owner >= 0:
            content.owners[start_us, frames] = known[owner]
    return content
