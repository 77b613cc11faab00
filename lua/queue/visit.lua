#!lua flags=allow-oom
-- Checks that an account has a visit now, claims it, and notes that the visitor is here.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: active, userId → end of visit, ms
-- KEYS[3] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[4] hash: visits, userId → number and how far the visit is
-- ARGV[1] incarnation
-- ARGV[2] userId
--
-- Answers: 'lost'; 'none' (no visit, or it is over); 'visit' end of visit.
-- Cost: O(log n) in the visits; writes only when the last note is over 2 s old.

local room, active, idle, visits = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local user = ARGV[2]
local NOTE_EVERY_MS = 2000

local told = redis.call('HMGET', room, 'incarnation', 'idleMs')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', active, user)
if not ends or tonumber(ends) <= now then
  return {'none'}
end

local visit = redis.call('HGET', visits, user) or ''
local unclaimed = not string.find(visit, ' claimed', 1, true)
if unclaimed then
  redis.call('HSET', visits, user, (string.match(visit, '^%S+') or '0') .. ' claimed')
end
local idle_at = now + tonumber(told[2])
if unclaimed or tonumber(redis.call('ZSCORE', idle, user) or 0) < idle_at - NOTE_EVERY_MS then
  redis.call('ZADD', idle, 'GT', idle_at, user)
end
return {'visit', ends}
