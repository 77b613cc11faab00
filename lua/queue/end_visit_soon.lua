#!lua flags=allow-oom
-- After a new payment the visit ends soon; the account is noted as one that has paid.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: active, userId → end of visit, ms
-- KEYS[3] zset: paid, userId → when it last paid, ms
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] how long the visit goes on, ms
--
-- Answers: 'lost'; 'none' (no visit); 'ending' end of visit.
-- Cost: O(log n) in the visits.

local room, active, paid = KEYS[1], KEYS[2], KEYS[3]
local user = ARGV[2]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', paid, now, user)
redis.call('ZADD', active, 'XX', 'LT', now + tonumber(ARGV[3]), user)
local ends = redis.call('ZSCORE', active, user)
if not ends then
  return {'none'}
end
return {'ending', ends}
