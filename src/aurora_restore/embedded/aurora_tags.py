"""Tags of emulated clusters, instances and snapshots, named by their ARNs."""

from collections.abc import Callable

from aurora_restore.embedded import aurora_rules as rules
from aurora_restore.embedded.aurora_records import Place, Record, Records, Tag
from aurora_restore.embedded.aurora_rules import Params
from aurora_restore.embedded.aurora_world import World, find_cluster, find_instance, find_snapshot

_KINDS: dict[str, Callable[[Records, str], Record]] = {
    "cluster": find_cluster,
    "db": find_instance,
    "cluster-snapshot": find_snapshot,
}


class Tagging:
    """The operations on tags, as RDS has them."""

    def __init__(self, world: World) -> None:
        """Work on this world."""
        self._world = world

    @staticmethod
    def knows(arn: str) -> bool:
        """Say whether an ARN names a thing of the emulated Aurora."""
        parts = arn.split(":")
        return len(parts) > 6 and parts[2] == "rds" and parts[5] in _KINDS

    def show(self, place: Place, params: Params) -> list[Tag]:
        """ListTagsForResource."""
        return [dict(tag) for tag in self._find(place, params).tag_list]

    def add(self, place: Place, params: Params) -> None:
        """AddTagsToResource: a tag of the same key is replaced."""
        record = self._find(place, params)
        added = rules.tags(params.get("tags"))
        replaced = {tag["Key"] for tag in added}
        record.tag_list = [*(tag for tag in record.tag_list if tag["Key"] not in replaced), *added]

    def remove(self, place: Place, params: Params) -> None:
        """RemoveTagsFromResource."""
        record = self._find(place, params)
        record.tag_list = [tag for tag in record.tag_list if tag["Key"] not in params.get("tag_keys", ())]

    def _find(self, place: Place, params: Params) -> Record:
        arn = params["resource_name"]
        records = self._world.records(place)
        return _KINDS[arn.split(":")[5]](records, arn)
