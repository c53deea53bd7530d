"""The request budget of an endpoint as Redis keeps it, in scripts that are safe to repeat after a lost reply.

The keys, in this order:

    budget     a hash that lives until the window ends: `limit`, `left`, and `learnt`, which is 0 while X's headers told nothing
    in_flight  the reservations that were not settled yet: nonces, with the millisecond until which each counts
    probe      the nonce of the request that is to learn the window
    blocked    exists after a 429, until X's window ends

Durations are in milliseconds, by Redis's own clock.
"""

_FORGET_OLD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
"""

RESERVE = (
    _FORGET_OLD
    + """
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
local blocked = redis.call('PTTL', KEYS[4])
if blocked > 0 then return blocked end
local left, learnt = unpack(redis.call('HMGET', KEYS[1], 'left', 'learnt'))
if left and tonumber(left) < 1 then return math.max(1, redis.call('PTTL', KEYS[1])) end
if learnt ~= '1' then
  if redis.call('EXISTS', KEYS[3]) == 1 then return tonumber(ARGV[3]) end
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4])
end
if left then redis.call('HINCRBY', KEYS[1], 'left', -1) end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 0
"""
)
"""Arguments: nonce, how long a reservation counts, how long to wait for a probe, how long a probe may take."""

_SETTLE = (
    _FORGET_OLD
    + """
local held = redis.call('ZREM', KEYS[2], ARGV[1]) == 1
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
local left, learnt = unpack(redis.call('HMGET', KEYS[1], 'left', 'learnt'))
"""
)

GIVE_BACK = (
    _SETTLE
    + """
if held and left then redis.call('HINCRBY', KEYS[1], 'left', 1) end
return 0
"""
)
"""Arguments: nonce."""

COUNT = (
    _SETTLE
    + """
if left then return 0 end
left = ARGV[2] - 1 - redis.call('ZCARD', KEYS[2])
redis.call('HSET', KEYS[1], 'limit', ARGV[2], 'left', left, 'learnt', '0')
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""
)
"""Arguments: nonce, requests and milliseconds of the window that is assumed to begin where none is known."""

LEARN = (
    _SETTLE
    + """
local remaining, ends_in = ARGV[3] - redis.call('ZCARD', KEYS[2]), redis.call('PTTL', KEYS[1])
local later = ARGV[4] - ends_in
if learnt == '1' and later < -ARGV[5] then return 0 end
if learnt == '1' and later <= tonumber(ARGV[5]) then
  return redis.call('HSET', KEYS[1], 'limit', ARGV[2], 'left', math.min(remaining, left))
end
redis.call('HSET', KEYS[1], 'limit', ARGV[2], 'left', remaining, 'learnt', '1')
return redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""
)
"""Arguments: nonce, limit, remaining, milliseconds until the window ends, how far apart ends of one window may be.

Whatever was under way when X answered may not be counted in its answer yet. Within a window the rest never grows, so
that an answer that comes late does not bring back what was used since.
"""

BLOCK = """
redis.call('SET', KEYS[4], '1', 'PX', ARGV[1])
return redis.call('DEL', KEYS[1])
"""
"""Arguments: milliseconds. A 429 shows that what was thought of the window is wrong."""
