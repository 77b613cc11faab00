#!lua flags=allow-oom
-- Begins to pay a reservation: from here on neither its owner nor a sweep takes it away. Once, its hold is prolonged.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] zset: the account's seats, seat → expiry, ms
-- KEYS[4] hash: the reservation
-- KEYS[5] zset: paying, reservation → when a job looks after it, ms
-- KEYS[6] hash: sold, seat → reservation
-- KEYS[7..] string: for each of its seats, its hold: reservation, userId, number of seats
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] reservation
-- ARGV[4] attempt
-- ARGV[5] amount that the client means to pay, points
-- ARGV[6] how long a payment may take, ms
-- ARGV[7..] seats, in the order of their keys
--
-- Answers: 'lost'; 'unknown' (there is none, or it is another's); 'confirmed'; 'sold' then each seat that is sold to
-- another within the hold's time (not while a payment runs: that one Postgres ends); 'over' (cancelled); 'amount'
-- amount (the client means another); 'begun' attempt (this one, or the one that runs already); 'expired'.
-- Cost: O(seats · log n).

local meta, held, own, reservation, paying, sold = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local user, id, attempt, payment_ms = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[6])
local FIRST_SEAT, FIRST_HOLD = 7, 7

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local told = redis.call('HMGET', reservation, 'user', 'state', 'amount', 'expiresAt', 'attempt')
if told[1] ~= user then
  return {'unknown'}
end
if told[2] == 'confirmed' then
  return {'confirmed'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry, lost = tonumber(told[4]), {}
for i = FIRST_SEAT, #ARGV do
  local owner = redis.call('HGET', sold, ARGV[i])
  if owner and owner ~= id then
    lost[#lost + 1] = ARGV[i]
  end
end
if #lost > 0 and expiry > now and told[2] ~= 'paying' then
  return {'sold', unpack(lost)}
end
if told[2] == 'cancelled' then
  return {'over'}
end
if tonumber(told[3]) ~= tonumber(ARGV[5]) then
  return {'amount', told[3]}
end
if told[2] == 'paying' then
  return {'begun', told[5]}
end
if expiry <= now then
  return {'expired'}
end
for i = FIRST_SEAT, #ARGV do
  local hold = redis.call('GET', KEYS[FIRST_HOLD + i - FIRST_SEAT])
  if not hold or string.match(hold, '^%S+') ~= id then
    return {'expired'}
  end
end
local prolonged = expiry + payment_ms
redis.call('ZADD', paying, now + payment_ms, id)
redis.call('HSET', reservation, 'state', 'paying', 'attempt', attempt)
for i = FIRST_SEAT, #ARGV do
  redis.call('PEXPIREAT', KEYS[FIRST_HOLD + i - FIRST_SEAT], prolonged)
  redis.call('ZADD', held, 'XX', prolonged, ARGV[i])
  redis.call('ZADD', own, 'XX', prolonged, ARGV[i])
end
return {'begun', attempt}
