#!lua flags=allow-oom
-- The process that checks an attempt's password is still there: the attempt keeps its number a while longer.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: grace, userId or attempt → when its kept place is given up, ms
-- ARGV[1] incarnation
-- ARGV[2] attempt
-- ARGV[3] how much longer, ms
--
-- Answers: 'lost'; 'unknown' (given up, or told before); 'renewed'.
-- Cost: O(log n) in the kept places.

local room, grace = KEYS[1], KEYS[2]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
if not redis.call('ZSCORE', grace, ARGV[2]) then
  return {'unknown'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', grace, 'XX', 'GT', now + tonumber(ARGV[3]), ARGV[2])
return {'renewed'}
