#!lua flags=allow-oom
-- Notes what the stock and the load advise: how many may be inside, and how many may come in a second. Who does not
-- know the stock changes nothing of what another says of it, as long as that counts.
--
-- KEYS[1] hash: the room's settings and counters
-- ARGV[1] incarnation
-- ARGV[2] who advises
-- ARGV[3] seats left to sell, or '' where that is not known or the room sells none
-- ARGV[4] how many visits these seats need at most
-- ARGV[5] admissions in a second that the load of the adviser allows
-- ARGV[6] how long the advice counts, ms
--
-- Answers: 'lost'; 'noted'.
-- Cost: O(1).

local room, adviser = KEYS[1], ARGV[2]

local told = redis.call('HMGET', room, 'incarnation', 'loadRate', 'loadBy', 'loadUntil', 'stockUntil')
if told[1] ~= ARGV[1] then
  return {'lost'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local valid_until = string.format('%.0f', now + tonumber(ARGV[6]))
-- The least that any process allows counts: what another allowed is raised by that one alone, or once it is too old.
if told[3] == adviser or now >= tonumber(told[4] or 0) or tonumber(ARGV[5]) < tonumber(told[2]) then
  redis.call('HSET', room, 'loadRate', ARGV[5], 'loadBy', adviser, 'loadUntil', valid_until)
end
if ARGV[3] ~= '' then
  redis.call('HSET', room, 'seatsLeft', ARGV[3], 'stockVisits', ARGV[4], 'stockUntil', valid_until)
elseif now >= tonumber(told[5] or 0) then
  redis.call('HSET', room, 'seatsLeft', '', 'stockVisits', ARGV[4])
end
redis.call('HSET', room, 'advisedUntil', valid_until)
return {'noted'}
