#!lua flags=no-writes
-- Says where an account stands, for operators: nothing is noted, and nobody counts as present by it.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] zset: pending, login attempt → number
-- KEYS[7] hash: visits, userId → number and how far the visit is
-- KEYS[8] zset: active, userId → end of visit, ms
-- ARGV[1] incarnation
-- ARGV[2] userId
--
-- Answers: 'lost'; 'none'; 'place' how it stands ('waiting', 'aside', or how far the visit is), number, position (0 inside and
-- while the room recovers), in line in all, until when present, until when kept, end of visit; times are 0 where there
-- is none.
-- Cost: O(log n) in the line.

local room, waiting, present, aside, grace, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, active, user = KEYS[7], KEYS[8], ARGV[2]

local told = redis.call('HMGET', room, 'incarnation', 'recoverUntil')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local visit_number, phase = string.match(redis.call('HGET', visits, user) or '', '^(%S+) (%a+)')
local ends = redis.call('ZSCORE', active, user)
if ends and tonumber(ends) <= now then -- over, and not yet swept
  return {'none'}
end
local waits, kept = redis.call('ZSCORE', waiting, user), redis.call('ZSCORE', aside, user)
local number = waits or kept or visit_number
if not number then
  return {'none'}
end
local position, in_line = 1, 0
for _, line in ipairs({waiting, aside, pending}) do
  position = position + redis.call('ZCOUNT', line, '-inf', '(' .. number)
  in_line = in_line + redis.call('ZCARD', line)
end
if ends or now < tonumber(told[2]) then
  position = 0
end
return {'place', waits and 'waiting' or kept and 'aside' or phase, number, position, in_line,
  redis.call('ZSCORE', present, user) or '0', redis.call('ZSCORE', grace, user) or '0', ends or '0'}
