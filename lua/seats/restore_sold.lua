#!lua flags=allow-oom
-- Marks seats sold from what Postgres says, before the schedule is set up for its new epoch.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
-- ARGV[1] epoch: the new one
-- ARGV[2..] pairs of seat and reservation
--
-- Answers: 'older' (the schedule is at this epoch or a later one already); 'restored'.
-- Cost: O(log n) for each pair; the caller sends at most 500.

local meta, held, sold = KEYS[1], KEYS[2], KEYS[3]

if tonumber(redis.call('HGET', meta, 'epoch') or 0) >= tonumber(ARGV[1]) then
  return {'older'}
end
for i = 2, #ARGV, 2 do
  redis.call('HSET', sold, ARGV[i], ARGV[i + 1])
  redis.call('ZREM', held, ARGV[i])
end
return {'restored'}
