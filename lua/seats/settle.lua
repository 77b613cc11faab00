#!lua flags=allow-oom
-- A payment is in Postgres: marks its seats sold, whoever holds them by now. Asking again changes nothing.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
-- KEYS[4] zset: the owner's seats, seat → expiry, ms (far away when it owns them)
-- KEYS[5] hash: the reservation
-- KEYS[6] zset: paying, reservation → when a job looks after it, ms
-- KEYS[7] list: sales, seats in the order in which they were sold
-- KEYS[8..] string: for each of its seats, its hold: reservation, userId, number of seats
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] reservation
-- ARGV[4] amount, points
-- ARGV[5] how long the reservation is remembered, ms
-- ARGV[6..] seats, in the order of their keys
--
-- Answers: 'lost'; 'settled' then each other reservation that held one of the seats.
-- Cost: O(seats · log n).

local meta, held, sold, own, reservation, paying = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local sales, user, id = KEYS[7], ARGV[2], ARGV[3]
local FIRST_SEAT, FIRST_HOLD, NEVER_MS = 6, 8, 9000000000000000

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local others, changed = {}, false
for i = FIRST_SEAT, #ARGV do
  local seat, hold_key = ARGV[i], KEYS[FIRST_HOLD + i - FIRST_SEAT]
  local hold = redis.call('GET', hold_key)
  local holder = hold and string.match(hold, '^%S+')
  if holder and holder ~= id then
    others[#others + 1] = holder
  end
  if redis.call('HSET', sold, seat, id) == 1 then
    redis.call('RPUSH', sales, seat)
    changed = true
  end
  redis.call('ZADD', own, NEVER_MS, seat)
  redis.call('ZREM', held, seat)
  redis.call('DEL', hold_key)
end
redis.call('PERSIST', own)
redis.call('HSET', reservation, 'user', user, 'seats', table.concat(ARGV, ' ', FIRST_SEAT), 'amount', ARGV[4],
  'state', 'confirmed')
redis.call('PEXPIRE', reservation, ARGV[5])
redis.call('ZREM', paying, id)
if changed then
  redis.call('HINCRBY', meta, 'version', 1)
end
return {'settled', unpack(others)}
