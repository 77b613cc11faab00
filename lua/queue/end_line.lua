#!lua flags=allow-oom
-- Ends the places of those in line who did not ask for as long as a place is kept: for a room that is closed, where no
-- turn comes at which they would be set aside.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: present, userId → until when it counts as present, ms
-- KEYS[4] zset: recalled, userId → number: back at an earlier place that the positions of others do not count
-- KEYS[5] hash: visits, userId → number and how far the visit is
-- KEYS[6] zset: returned, userId → when it came back with an earlier epoch's number, or ended, ms
-- KEYS[7] zset: phones, userId → until when it is remembered that it came by phone, ms
-- ARGV[1] incarnation
-- ARGV[2] how many to end at most
--
-- Answers: 'lost'; 'open' (it is not closed, or nobody was heard for a time); 'ended' how many.
-- Cost: O(log n) for each that ends.

local room, waiting, present, recalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local visits, returned, phones = KEYS[5], KEYS[6], KEYS[7]

local told = redis.call('HMGET', room, 'incarnation', 'state', 'closesAt', 'admitFrom', 'graceMs', 'phoneGraceMs')
if told[1] ~= ARGV[1] then return {'lost'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if told[2] ~= 'closed' and now < tonumber(told[3]) or now < tonumber(told[4]) then return {'open'} end
local ended, before = 0, now - math.max(told[5], told[6])
for _, user in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', before, 'LIMIT', 0, ARGV[2])) do
  if redis.call('ZREM', waiting, user) + redis.call('ZREM', recalled, user) > 0 then
    -- Should the line be set up again, tokens from before must not bring back who had their turn.
    redis.call('ZADD', returned, now, user)
    redis.call('HINCRBY', room, 'ended', 1)
    redis.call('HDEL', visits, user)
    redis.call('ZREM', phones, user)
    ended = ended + 1
  end
  redis.call('ZREM', present, user)
end
return {'ended', ended}
