#!lua flags=allow-oom
-- Cancels a reservation that is held: its seats are free at once.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] zset: the account's seats, seat → expiry, ms
-- KEYS[4] hash: the reservation
-- KEYS[5..] string: for each of its seats, its hold: reservation, userId, number of seats
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] reservation
-- ARGV[4] how long it is remembered once cancelled, ms
-- ARGV[5..] seats, in the order of their keys
--
-- Answers: 'lost'; 'unknown' (there is none, or it is another's); 'paying'; 'confirmed'; 'cancelled'.
-- Cost: O(seats · log n).

local meta, held, own, reservation = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local user, id, FIRST_SEAT, FIRST_HOLD, NEVER_MS = ARGV[2], ARGV[3], 5, 5, 9000000000000000

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local told = redis.call('HMGET', reservation, 'user', 'state')
if told[1] ~= user then
  return {'unknown'}
end
if told[2] == 'paying' then
  return {'paying'}
end
if told[2] == 'confirmed' then
  return {'confirmed'}
end
for i = FIRST_SEAT, #ARGV do
  local hold_key = KEYS[FIRST_HOLD + i - FIRST_SEAT]
  local holder, by = string.match(redis.call('GET', hold_key) or '', '^(%S+) (%S+)')
  if holder == id then
    redis.call('ZREM', own, ARGV[i])
    redis.call('ZREM', held, ARGV[i])
    redis.call('DEL', hold_key)
    redis.call('HINCRBY', meta, 'version', 1)
  elseif by ~= user and tonumber(redis.call('ZSCORE', own, ARGV[i]) or NEVER_MS) < NEVER_MS then
    redis.call('ZREM', own, ARGV[i]) -- sold to another: it counts towards no limit of this account any more
  end
end
redis.call('HSET', reservation, 'state', 'cancelled')
redis.call('PEXPIRE', reservation, ARGV[4], 'LT') -- cancelling again does not prolong it
return {'cancelled'}
