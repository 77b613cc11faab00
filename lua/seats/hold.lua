#!lua
-- Holds all the seats named, or none.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
-- KEYS[4] zset: the account's seats, seat → expiry, ms (or far away when it owns them)
-- KEYS[5] zset: the account's reservations, reservation → when made, ms
-- KEYS[6] hash: the new reservation
-- KEYS[7] string: the reservation made under this Idempotency-Key
-- KEYS[8..] string: for each seat, its hold: reservation, userId, number of seats
-- ARGV[1] incarnation
-- ARGV[2] userId
-- ARGV[3] reservation: the new one's id
-- ARGV[4] how long to hold, ms
-- ARGV[5] how many seats the account may hold and own in this schedule
-- ARGV[6] amount, points
-- ARGV[7] how long the reservation and the key are remembered, ms
-- ARGV[8] '1' where the request has an Idempotency-Key, else '0'
-- ARGV[9..] seats, in the order of their keys
--
-- Answers: 'lost'; 'repeated' reservation (made by this key before); 'yours' reservation (holds exactly these);
-- 'taken' then seat and, where sold, reservation for each that is not free; 'limit' seats it has; 'held' expiry, ms.
-- Cost: O(seats named · log n).

local meta, held, sold, own, made, reservation, key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local user, id, hold_ms, keep_ms = ARGV[2], ARGV[3], ARGV[4], ARGV[7]
local FIRST_SEAT, FIRST_HOLD, LISTED, seats = 9, 8, 50, #ARGV - 8

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
if ARGV[8] == '1' and redis.call('EXISTS', key) == 1 then
  return {'repeated', redis.call('GET', key)}
end
local taken, first, same = {}, nil, 0
for i = 0, seats - 1 do
  local owner = redis.call('HGET', sold, ARGV[FIRST_SEAT + i])
  local hold = not owner and redis.call('GET', KEYS[FIRST_HOLD + i])
  first = first or hold
  same = same + (hold and hold == first and 1 or 0)
  if owner or hold then
    taken[#taken + 1] = ARGV[FIRST_SEAT + i]
    taken[#taken + 1] = owner or ''
  end
end
local holder, by, count = string.match(first or '', '^(%S+) (%S+) (%S+)$')
if same == seats and by == user and tonumber(count) == seats then
  return {'yours', holder}
end
if #taken > 0 then
  return {'taken', unpack(taken)}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local has = redis.call('ZCOUNT', own, now, '+inf')
if has + seats > tonumber(ARGV[5]) then
  return {'limit', has}
end
local expiry = string.format('%.0f', now + hold_ms) -- a text: a number is written out anew for each call
local known, value = redis.call('EXISTS', own) == 1, id .. ' ' .. user .. ' ' .. seats
redis.call('HSET', reservation, 'user', user, 'seats', table.concat(ARGV, ' ', FIRST_SEAT), 'amount', ARGV[6],
  'state', 'held', 'expiresAt', expiry)
redis.call('PEXPIRE', reservation, keep_ms)
for i = 0, seats - 1 do
  local seat = ARGV[FIRST_SEAT + i]
  redis.call('SET', KEYS[FIRST_HOLD + i], value, 'PX', hold_ms)
  redis.call('ZADD', held, expiry, seat)
  redis.call('ZADD', own, expiry, seat)
end
-- A key without expiry has seats that the account owns: GT leaves it so.
redis.call('PEXPIRE', own, keep_ms, unpack(known and {'GT'} or {}))
redis.call('ZADD', made, now, id)
redis.call('ZREMRANGEBYRANK', made, 0, -1 - LISTED)
redis.call('PEXPIRE', made, keep_ms)
if ARGV[8] == '1' then
  redis.call('SET', key, id, 'PX', keep_ms)
end
redis.call('HINCRBY', meta, 'version', 1)
return {'held', expiry}
