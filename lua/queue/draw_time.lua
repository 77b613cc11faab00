#!lua flags=no-writes
-- Tells the time by which a room opens, and how many may still be found to have come before the opening of its draw.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: pending, login attempt → number
--
-- Answers: the time, ms; when the room opens by what Redis knows, ms, 0 for at once; how many may still be found to have drawn:
-- logins that are being checked, and one more while a room that was set up again waits for all who had a place.
-- Cost: O(log n) in the logins.

local room, pending = KEYS[1], KEYS[2]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told = redis.call('HMGET', room, 'opensAt', 'recoverUntil')
local recovering = now < tonumber(told[2] or 0)
return {now, told[1] or '0', redis.call('ZCOUNT', pending, '-inf', '(0') + (recovering and 1 or 0)}
