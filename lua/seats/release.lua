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
-- ARGV[4..] seats, in the order of their keys
--
-- Answers: 'lost'; 'unknown' (there is none, or it is another's); 'paying'; 'confirmed'; 'cancelled'.
-- Cost: O(seats · log n).

local meta, held, own, reservation = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local user, id, NEVER_MS = ARGV[2], ARGV[3], 9000000000000000

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
for i = 4, #ARGV do
  local holder, by = string.match(redis.call('GET', KEYS[i + 1]) or '', '^(%S+) (%S+)')
  if holder == id then
    redis.call('ZREM', own, ARGV[i])
    redis.call('ZREM', held, ARGV[i])
    redis.call('DEL', KEYS[i + 1])
    redis.call('HINCRBY', meta, 'version', 1)
  elseif by ~= user and tonumber(redis.call('ZSCORE', own, ARGV[i]) or NEVER_MS) < NEVER_MS then
    redis.call('ZREM', own, ARGV[i]) -- sold to another: it counts towards no limit of this account any more
  end
end
redis.call('HSET', reservation, 'state', 'cancelled')
return {'cancelled'}
