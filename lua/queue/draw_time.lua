#!lua
-- Tells the time by which a room opens, and how many logins that came before the opening of its draw are being checked.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: pending, login attempt → number
--
-- Answers: the time, ms; when the room opens by what Redis knows, ms, 0 for at once; logins that drew and are being checked.
-- Cost: O(log n) in the logins.

local room, pending = KEYS[1], KEYS[2]

local time = redis.call('TIME')
return {time[1] * 1000 + math.floor(time[2] / 1000), redis.call('HGET', room, 'opensAt') or '0',
  redis.call('ZCOUNT', pending, '-inf', '(0')}
