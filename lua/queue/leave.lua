#!lua flags=allow-oom
-- Gives up an account's place and visit. Asking again changes nothing.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- KEYS[7] hash: visits, userId → number and how far the visit is
-- KEYS[8] zset: active, userId → end of visit, ms
-- KEYS[9] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[10] zset: left, userId → when it left, ms
-- KEYS[11] zset: phones, userId → until when it is remembered that it came by phone, ms
-- ARGV[1] incarnation
-- ARGV[2] userId
--
-- Answers: 'lost'; 'none' (had no place); 'visit' (a visit ended); 'place' (a place in line was given up).
-- Cost: O(log n) in the line.

local room, waiting, present, aside, grace, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, active, idle, left, phones = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local user = ARGV[2]

local told = redis.call('HMGET', room, 'incarnation', 'oldTokensUntil')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local visit = redis.call('ZSCORE', active, user)
local kept = redis.call('HEXISTS', visits, user) == 1
if not (visit or kept or redis.call('ZSCORE', waiting, user) or redis.call('ZSCORE', aside, user)) then
  if now < tonumber(told[2]) then -- no token of an earlier epoch brings it back
    redis.call('ZADD', left, now, user)
  end
  return {'none'}
end
redis.call('ZADD', left, now, user)
redis.call('HINCRBY', room, 'ended', 1)
for _, line in ipairs({waiting, aside, recalled, present, grace, idle, active, phones}) do
  redis.call('ZREM', line, user)
end
redis.call('HDEL', visits, user)
return {visit and 'visit' or 'place'}
