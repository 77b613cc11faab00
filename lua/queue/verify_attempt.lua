#!lua flags=allow-oom
-- The password was right: the attempt's number becomes the account's, unless the account has an earlier one.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: pending, login attempt → number
-- KEYS[3] string: what became of the attempt: userId and number from now on
-- KEYS[4] zset: waiting, userId → number
-- KEYS[5] zset: present, userId → until when it counts as present, ms
-- KEYS[6] zset: aside, userId → number
-- KEYS[7] zset: grace, userId or attempt → when its kept place is given up, ms
-- KEYS[8] hash: visits, userId → number and how far the visit is
-- KEYS[9] zset: left, userId → when it left, ms
-- KEYS[10] zset: active, userId → end of visit, ms
-- KEYS[11] zset: idle, userId → when the visit ends if nothing more is heard, ms
-- KEYS[12] zset: drawn, userId → number: who joined while the room drew
-- KEYS[13] zset: phones, userId → until when it is remembered that it came by phone, ms
-- KEYS[14] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- ARGV[1] incarnation
-- ARGV[2] attempt
-- ARGV[3] userId
-- ARGV[4] how long the answer is remembered, ms
-- ARGV[5] for how long to remember that it came by phone, ms; 0 where it does not say so
-- ARGV[6] the number that the attempt was given
--
-- Answers: 'lost'; 'unknown' (told before, or forgotten); 'merged' (the account had an earlier place);
-- 'verified' number.
-- Cost: O(log n) in the line.

local room, pending, fate, waiting, present = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local aside, grace, visits, left, active, idle = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local drawn, phones, recalled, attempt, user = KEYS[12], KEYS[13], KEYS[14], ARGV[2], ARGV[3]
local HERE_MS = 23000

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then return {'lost'} end
local pends = redis.call('ZSCORE', pending, attempt)
-- Given up, as nobody could say in time that it was being checked: its owner is not to blame.
local late = not pends and redis.call('GET', fate) == '?'
if not pends and not late then return {'unknown'} end
local number = pends or ARGV[6]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local visit, ends = redis.call('HGET', visits, user), redis.call('ZSCORE', active, user)
if ends and tonumber(ends) <= now then -- a visit that is over and not yet swept
  redis.call('HINCRBY', room, 'ended', 1)
  redis.call('HDEL', visits, user)
  for _, line in ipairs({idle, active}) do redis.call('ZREM', line, user) end
  visit = false
end
local own = redis.call('ZSCORE', waiting, user) or redis.call('ZSCORE', aside, user)
local earlier = visit and string.match(visit, '^%S+') or (own and tonumber(own) <= tonumber(number) and own)
if tonumber(ARGV[5]) > 0 then redis.call('ZADD', phones, now + ARGV[5], user) end
redis.call('SET', fate, user .. ' ' .. (earlier or number), 'PX', tonumber(ARGV[4]))
if late then redis.call('HINCRBY', room, 'joined', 1) end -- when it was given up it was counted as ended
if not earlier then
  if tonumber(number) < 0 then redis.call('ZADD', drawn, number, user) end -- it came while the room drew
  redis.call('ZADD', present, 'GT', now + HERE_MS, user)
  if late then -- so that nobody's position grows
    redis.call('HSET', visits, user, number .. ' recalled ')
    redis.call('ZADD', recalled, number, user)
    redis.call('ZREM', waiting, user)
  else
    redis.call('ZADD', waiting, number, user)
  end
  for _, line in ipairs({aside, left}) do redis.call('ZREM', line, user) end
end
if earlier or own then redis.call('HINCRBY', room, 'ended', 1) end
redis.call('ZREM', grace, attempt)
if own and not earlier then redis.call('ZREM', grace, user) end
redis.call('ZREM', pending, attempt)
if earlier then return {'merged'} end
return {'verified', number}
