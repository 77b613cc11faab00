#!lua flags=no-writes
-- Tells how many seats of a schedule an account owns.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: the account's seats, seat → expiry, ms (far away when it owns them)
-- ARGV[1] incarnation
--
-- Answers: 'lost'; 'owns' number of seats.
-- Cost: O(log n).

local meta, own = KEYS[1], KEYS[2]
local NEVER_MS = 9000000000000000

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
return {'owns', redis.call('ZCOUNT', own, NEVER_MS, '+inf')}
