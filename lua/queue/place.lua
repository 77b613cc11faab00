#!lua flags=allow-oom
-- Says where accounts stand, and notes that they are here. Those who ask at the same moment are asked for together.
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
-- ARGV[2] expected wait for each place in line, ms
-- ARGV[3..] userIds
--
-- Answers: 'lost' (the room is not the one we believe in); 'told' in line in all, then for each account in order a
-- word and a number: 'active' end of visit, 'absent' 0 (neither waiting nor active), 'recovering' 0, 'waiting' position.
-- Cost: O(accounts named · log n) in the line; writes only for those whose last note is over 3 s old.

local room, waiting, present, aside, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local active, idle, visits = KEYS[6], KEYS[7], KEYS[8]
local wait_ms = tonumber(ARGV[2])
local FIRST_USER, ABSENT_AFTER_MS, NOTE_EVERY_MS, SELDOM_MS = 3, 10000, 3000, 10000

local known = redis.call('HMGET', room, 'incarnation', 'recoverUntil', 'idleMs', 'opensAt')
if known[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local recovering = now < tonumber(known[2])
local beside = redis.call('ZCARD', aside) + redis.call('ZCARD', pending)

local function visit_of(user)
  local ends = redis.call('ZSCORE', active, user)
  if not ends or tonumber(ends) <= now then
    return 'absent', 0
  end
  -- A poll claims no visit, but it keeps a claimed one from idling.
  local visit = redis.call('HGET', visits, user)
  if visit and string.find(visit, ' claimed', 1, true) then
    redis.call('ZADD', idle, 'XX', 'GT', now + tonumber(known[3]), user)
  end
  return 'active', ends
end

local function place_of(user)
  local rank = redis.call('ZRANK', waiting, user)
  if not rank then
    return visit_of(user)
  end
  local position = rank + 1
  if beside > 0 then
    local before = '(' .. redis.call('ZSCORE', waiting, user)
    position = position + redis.call('ZCOUNT', aside, '-inf', before) + redis.call('ZCOUNT', pending, '-inf', before)
  end
  local poll_ms = math.min(math.max(position * wait_ms / 2, 1000), SELDOM_MS)
  if now < tonumber(known[4]) then
    poll_ms = SELDOM_MS -- where places are drawn nobody is told a position, and all ask as those far back do
  end
  local here_until = now + NOTE_EVERY_MS + math.floor(math.max(ABSENT_AFTER_MS, 3 * poll_ms))
  local noted = redis.call('ZSCORE', present, user)
  if not noted or tonumber(noted) < here_until - NOTE_EVERY_MS then
    redis.call('ZADD', present, here_until, user)
  end
  if recovering then
    return 'recovering', 0
  end
  return 'waiting', position
end

local answer = {'told', redis.call('ZCARD', waiting) + beside}
for i = FIRST_USER, #ARGV do
  answer[#answer + 1], answer[#answer + 2] = place_of(ARGV[i])
end
return answer
