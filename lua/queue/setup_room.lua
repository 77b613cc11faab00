#!lua flags=allow-oom
-- Sets a room up for a new epoch, with its settings, keeping what survived of its line and its visits.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: aside, userId → number
-- KEYS[4] zset: pending, login attempt → number
-- KEYS[5] hash: visits, userId → number and how far the visit is
-- ARGV[1] incarnation: the new one
-- ARGV[2] epoch
-- ARGV[3] for how long positions are unknown, ms
-- ARGV[4] for how long nobody is admitted, ms
-- ARGV[5] for how long tokens of earlier epochs are valid, ms
-- ARGV[6..] pairs of setting and value
--
-- Answers: 'older' (the room is at this epoch or a later one already); 'ready'.
-- Cost: O(settings).

local room, waiting, aside, pending, visits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local epoch = tonumber(redis.call('HGET', room, 'epoch') or 0)
if epoch >= tonumber(ARGV[2]) then
  return {'older'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local places = redis.call('ZCARD', waiting) + redis.call('ZCARD', aside) + redis.call('ZCARD', pending)
redis.call('HSET', room, 'epoch', ARGV[2], 'lastNumber', 0, 'joined', places + redis.call('HLEN', visits), 'ended', 0,
  'admitted', 0, 'passedOver', 0, 'bucket', 0, 'bucketAt', string.format('%.0f', now),
  'ranAt', string.format('%.0f', now),
  'recoverUntil', string.format('%.0f', now + tonumber(ARGV[3])),
  'admitFrom', string.format('%.0f', now + tonumber(ARGV[4])),
  'oldTokensUntil', string.format('%.0f', now + tonumber(ARGV[5])))
for i = 6, #ARGV, 2 do
  redis.call('HSET', room, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', room, 'incarnation', ARGV[1])
return {'ready'}
