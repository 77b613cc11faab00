#!lua flags=allow-oom
-- Ends an attempt to pay that was refused or made void: the hold has its own expiry again.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] zset: the account's seats, seat → expiry, ms
-- KEYS[4] hash: the reservation
-- KEYS[5] zset: paying, reservation → when a job looks after it, ms
-- KEYS[6..] string: for each of its seats, its hold: reservation, userId, number of seats
-- ARGV[1] incarnation
-- ARGV[2] reservation
-- ARGV[3] attempt
-- ARGV[4..] seats, in the order of their keys
--
-- Answers: 'lost'; 'other' (this attempt is not the one that runs); 'aborted'; 'freed' (the hold's time was over).
-- Cost: O(seats · log n).

local meta, held, own, reservation, paying = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, attempt = ARGV[2], ARGV[3]
local FIRST_SEAT, FIRST_HOLD, NEVER_MS = 4, 6, 9000000000000000

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local told = redis.call('HMGET', reservation, 'state', 'attempt', 'expiresAt', 'user')
if told[1] ~= 'paying' or told[2] ~= attempt then
  return {'other'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over = tonumber(told[3]) <= now
for i = FIRST_SEAT, #ARGV do
  local hold_key = KEYS[FIRST_HOLD + i - FIRST_SEAT]
  local holder, by = string.match(redis.call('GET', hold_key) or '', '^(%S+) (%S+)')
  if holder == id then
    if over then
      redis.call('ZREM', own, ARGV[i])
      redis.call('ZREM', held, ARGV[i])
      redis.call('DEL', hold_key)
      redis.call('HINCRBY', meta, 'version', 1)
    else
      redis.call('PEXPIREAT', hold_key, told[3])
      redis.call('ZADD', held, 'XX', told[3], ARGV[i])
      redis.call('ZADD', own, 'XX', told[3], ARGV[i])
    end
  elseif by ~= told[4] and tonumber(redis.call('ZSCORE', own, ARGV[i]) or NEVER_MS) < NEVER_MS then
    redis.call('ZREM', own, ARGV[i]) -- sold to another: it counts towards no limit of this account any more
  end
end
redis.call('HSET', reservation, 'state', 'held')
redis.call('HDEL', reservation, 'attempt')
redis.call('ZREM', paying, id)
return {over and 'freed' or 'aborted'}
