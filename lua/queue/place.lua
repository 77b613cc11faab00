#!lua
-- Says where an account stands, and notes that it is here.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: pending, login attempt → number
-- KEYS[6] zset: active, userId → end of visit, ms
-- KEYS[7] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[8] hash: visits, userId → number and how far the visit is
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] expected wait for each place in line, ms
--
-- Answers: 'lost' (the room is not the one we believe in); 'active' end of visit; 'absent' (neither waiting nor
-- active); 'recovering' in line in all; 'waiting' position, in line in all.
-- Cost: O(log n) in the line; writes only when the last note is over 3 s old.

local room, waiting, present, aside, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local active, idle, visits = KEYS[6], KEYS[7], KEYS[8]
local user = ARGV[2]
local ABSENT_AFTER_MS, NOTE_EVERY_MS = 10000, 3000

local told = redis.call('HMGET', room, 'incarnation', 'recoverUntil', 'idleMs')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local rank = redis.call('ZRANK', waiting, user)
if not rank then
  local ends = redis.call('ZSCORE', active, user)
  if not ends or tonumber(ends) <= now then
    return {'absent'}
  end
  -- A poll claims no visit, but it keeps a claimed one from idling.
  local visit = redis.call('HGET', visits, user)
  if visit and string.find(visit, ' claimed', 1, true) then
    redis.call('ZADD', idle, 'XX', 'GT', now + tonumber(told[3]), user)
  end
  return {'active', ends}
end

local position = rank + 1
local beside = redis.call('ZCARD', aside) + redis.call('ZCARD', pending)
if beside > 0 then
  local before = '(' .. redis.call('ZSCORE', waiting, user)
  position = position + redis.call('ZCOUNT', aside, '-inf', before) + redis.call('ZCOUNT', pending, '-inf', before)
end

local poll_ms = math.min(math.max(position * tonumber(ARGV[3]) / 2, 1000), 10000)
local here_until = now + NOTE_EVERY_MS + math.floor(math.max(ABSENT_AFTER_MS, 3 * poll_ms))
local noted = redis.call('ZSCORE', present, user)
if not noted or tonumber(noted) < here_until - NOTE_EVERY_MS then
  redis.call('ZADD', present, here_until, user)
end

local in_line = redis.call('ZCARD', waiting) + beside
if now < tonumber(told[2]) then
  return {'recovering', in_line}
end
return {'waiting', position, in_line}
