"""Tells whether a stream is still the one that it was: Redis may be flushed, or the stream deleted and made anew.

A hash beside the stream has the id of its life, the last entry that was seen, and how many there ever were. It is lost
together with the stream where Redis loses everything. A stream without entries is none that was lost: listeners trim.
"""

WAS_LOST = """
local function place(entry)
  local instant, number = string.match(entry, '(%d+)-(%d+)')
  return tonumber(instant), tonumber(number)
end
local function seen(stream)
  local last, added = '0-0', 0
  if redis.call('EXISTS', stream) == 0 then return last, added end
  local facts = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then last = facts[i + 1] end
    if facts[i] == 'entries-added' then added = facts[i + 1] end
  end
  return last, added
end
local function was_lost(life, stream)
  local known = redis.call('HMGET', life, 'last', 'added')
  if not known[1] then return false end
  local last, added = seen(stream)
  local instant, number = place(last)
  local known_instant, known_number = place(known[1])
  if instant < known_instant or (instant == known_instant and number < known_number) then return true end
  return added < tonumber(known[2] or 0)
end
"""
"""Lua functions. Old servers do not tell how many entries there ever were: there a stream that somebody else has written to
since it was made anew looks like the old one."""

LIFE = """
if was_lost(KEYS[1], KEYS[2]) then redis.call('DEL', KEYS[1]) end
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
local last, added = seen(KEYS[2])
if last ~= '0-0' then redis.call('HSET', KEYS[1], 'last', last, 'added', added) end
return redis.call('HGET', KEYS[1], 'id')
"""
