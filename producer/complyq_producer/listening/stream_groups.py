"""What the groups of a Redis Stream have not handled yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from complyq_producer.listening.groups import only_looks

if TYPE_CHECKING:
    import redis

# Asked in one step, and without the bodies of events that XINFO STREAM would send along. Where the server cannot tell
# what a group has yet to get (before Redis 7, or after XDEL), it is all or nothing: that errs on the safe side, and ends
# when the group has caught up.
_UNHANDLED = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local function fields(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end
local stream = fields(redis.call('XINFO', 'STREAM', KEYS[1]))
local groups = {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = fields(flat)
  local waiting = group['lag'] or stream['length']
  if group['last-delivered-id'] == stream['last-generated-id'] then waiting = 0 end
  table.insert(groups, {group['name'], group['pending'] + waiting})
end
return groups
"""


def unhandled_by_group(client: redis.Redis, stream: str) -> dict[str, int]:
    """Count, for each group but those that only look, the entries it has not acknowledged; raises RedisError."""
    groups = cast("list[tuple[bytes, int]]", client.eval(_UNHANDLED, 1, stream))
    return {name.decode(): count for name, count in groups if not only_looks(name.decode())}


def unhandled(client: redis.Redis, stream: str) -> int:
    """Count the entries that the group furthest behind has not acknowledged; without a group, all of them."""
    by_group = unhandled_by_group(client, stream)
    return max(by_group.values()) if by_group else cast("int", client.xlen(stream))
