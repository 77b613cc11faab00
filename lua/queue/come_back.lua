#!lua
-- Takes an account that is neither waiting nor active back to its old place, if it still has one.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: aside, userId → number
-- KEYS[5] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[6] zset: recalled, userId → number: missed one visit, back again, first to be admitted
-- KEYS[7] hash: visits, userId → number and how far the visit is
-- KEYS[8] zset: left, userId → when it left, ms
-- KEYS[9] zset: returned, userId → when it came back with an earlier epoch's number, or ended, ms
-- KEYS[10] zset: paid, userId → when it last paid, ms
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] epoch of the number that the account shows, 0 for none
-- ARGV[4] the number that the account shows, 0 for none
-- ARGV[5] since when it has that number at most, ms
--
-- Answers: 'lost'; 'back' number (in line again); 'recalled' number, position, in line in all; 'left'; 'gone'.
-- Cost: O(log n) in the line.

local room, waiting, present, aside, grace, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local visits, left, returned, paid = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local user = ARGV[2]
local HERE_MS = 13000

local told = redis.call('HMGET', room, 'incarnation', 'epoch', 'recoverUntil')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local number = redis.call('ZSCORE', aside, user)
if number then
  redis.call('ZADD', present, now + HERE_MS, user)
  redis.call('ZADD', waiting, number, user)
  redis.call('ZREM', grace, user)
  redis.call('ZREM', aside, user)
  return {'back', number}
end

local visit = redis.call('HGET', visits, user)
if visit and string.find(visit, ' missed', 1, true) then
  number = string.match(visit, '^%S+')
  redis.call('ZADD', recalled, number, user)
  redis.call('HSET', visits, user, number .. ' recalled')
  redis.call('ZREM', grace, user)
end
local rank = redis.call('ZRANK', recalled, user)
if rank then
  redis.call('ZADD', present, now + HERE_MS, user)
  local in_line = redis.call('ZCARD', waiting) + redis.call('ZCARD', aside) + redis.call('ZCARD', recalled)
  return {'recalled', redis.call('ZSCORE', recalled, user), rank + 1, in_line}
end

if redis.call('ZSCORE', left, user) then
  return {'left'}
end
local paid_at = redis.call('ZSCORE', paid, user)
local older = tonumber(ARGV[3]) > 0 and tonumber(ARGV[3]) < tonumber(told[2])
if not older or redis.call('ZSCORE', returned, user) or (paid_at and tonumber(paid_at) >= tonumber(ARGV[5])) then
  return {'gone'}
end
redis.call('ZADD', present, now + HERE_MS, user)
redis.call('ZADD', waiting, ARGV[4], user)
redis.call('ZADD', returned, now, user)
redis.call('HINCRBY', room, 'joined', 1)
return {'back', ARGV[4]}
