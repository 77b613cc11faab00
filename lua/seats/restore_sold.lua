#!lua flags=allow-oom
-- Marks seats sold from what Postgres says, before the schedule is set up for its new epoch. What survived of their
-- reservations from before they were paid is confirmed.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
-- KEYS[4] zset: paying, reservation → when a job looks after it, ms
-- KEYS[5] list: sales, seats in the order in which they were sold
-- KEYS[6..] three: for each seat sold, its owner's seats (zset), its reservation (hash) and its hold (string)
-- ARGV[1] epoch: the new one
-- ARGV[2..] pairs of seat and reservation, in the order of their keys
--
-- Answers: 'older' (the schedule is at this epoch or a later one already); 'restored'.
-- Cost: O(log n) for each pair; the caller sends at most 250.

local meta, held, sold, paying, sales = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIRST_SEAT, FIRST_KEY, NEVER_MS = 2, 6, 9000000000000000

if tonumber(redis.call('HGET', meta, 'epoch') or 0) >= tonumber(ARGV[1]) then
  return {'older'}
end
for i = FIRST_SEAT, #ARGV, 2 do
  local seat, id, first = ARGV[i], ARGV[i + 1], FIRST_KEY + (i - FIRST_SEAT) / 2 * 3
  local own, reservation, hold_key = KEYS[first], KEYS[first + 1], KEYS[first + 2]
  if redis.call('HSET', sold, seat, id) == 1 then
    redis.call('RPUSH', sales, seat)
  end
  redis.call('ZADD', own, NEVER_MS, seat)
  redis.call('PERSIST', own)
  redis.call('ZREM', held, seat)
  -- What another holds is left to end: who pays for it is refused by Postgres.
  if string.match(redis.call('GET', hold_key) or '', '^%S+') == id then
    redis.call('DEL', hold_key)
  end
  if redis.call('EXISTS', reservation) == 1 then
    redis.call('HSET', reservation, 'state', 'confirmed')
  end
  redis.call('ZREM', paying, id)
end
return {'restored'}
