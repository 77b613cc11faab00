#!lua
-- Takes a place for an account: the one it has, a visit at once where the room has room, or the next number.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] zset: recalled, userId → number: missed one visit, back again, first to be admitted
-- KEYS[7] hash: visits, userId → number and how far the visit is
-- KEYS[8] zset: active, userId → end of visit, ms
-- KEYS[9] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[10] zset: left, userId → when it left, ms
-- KEYS[11] zset: pending, login attempt → number
-- ARGV[1] incarnation
-- ARGV[2] userId
--
-- Answers: 'lost'; 'active' number, end of visit; 'kept' (it has a place in line already); 'closed'; 'full';
-- 'waiting' number (a new place in line).
-- Cost: O(log n) in the line.

local room, waiting, present, aside, grace, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, active, idle, left, pending = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local user = ARGV[2]
local FIRST_NOTE_MS = 13000

local told = redis.call('HMGET', room, 'incarnation', 'state', 'capacity', 'admitPerSecond', 'bucket', 'bucketAt',
  'admitFrom', 'claimMs', 'visitMs', 'queueLimit', 'epoch')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local ends = redis.call('ZSCORE', active, user)
local visit = redis.call('HGET', visits, user)
if ends and tonumber(ends) > now and visit then
  return {'active', string.match(visit, '^%S+'), ends}
end
if not ends and visit or redis.call('ZSCORE', waiting, user) or redis.call('ZSCORE', aside, user) then
  return {'kept'}
end
local state = told[2]
if state == 'closed' or state == 'draining' then
  return {'closed'}
end
local in_line = redis.call('ZCARD', waiting) + redis.call('ZCARD', recalled)
if in_line + redis.call('ZCARD', pending) >= tonumber(told[10]) then
  return {'full'}
end

local number = tonumber(told[11]) * 4294967296 + redis.call('HINCRBY', room, 'lastNumber', 1)
redis.call('HINCRBY', room, 'joined', 1)
redis.call('ZREM', left, user)
if ends then -- a visit that is over and not yet swept
  redis.call('HINCRBY', room, 'ended', 1)
  redis.call('HDEL', visits, user)
  redis.call('ZREM', idle, user)
  redis.call('ZREM', active, user)
end
local rate = tonumber(told[4])
local bucket = math.min(math.max(rate, 1), tonumber(told[5]) + (now - tonumber(told[6])) * rate / 1000)
local free = state == 'open' and in_line == 0 and now >= tonumber(told[7])
  and redis.call('ZCARD', active) < tonumber(told[3]) and bucket >= 1
if not free then
  redis.call('ZADD', present, now + FIRST_NOTE_MS, user)
  redis.call('ZADD', waiting, number, user)
  return {'waiting', string.format('%.0f', number)}
end
ends = now + tonumber(told[9])
redis.call('HSET', visits, user, string.format('%.0f offered', number))
redis.call('ZADD', idle, now + tonumber(told[8]), user)
redis.call('ZADD', active, ends, user)
redis.call('HSET', room, 'bucket', string.format('%.6f', bucket - 1), 'bucketAt', string.format('%.0f', now))
redis.call('HINCRBY', room, 'admitted', 1)
return {'active', string.format('%.0f', number), string.format('%.0f', ends)}
