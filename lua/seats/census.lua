#!lua flags=no-writes
-- Tells every hold and every sold seat of a schedule at one moment.
--
-- KEYS[1] zset: held, seat → expiry, ms
-- KEYS[2] hash: sold, seat → reservation
--
-- Answers: now, ms; the holds as pairs of seat and expiry; the sold seats as pairs of seat and reservation.
-- Cost: O(held + sold): for checks, not for visitors.

local held, sold = KEYS[1], KEYS[2]

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return {now, redis.call('ZRANGE', held, 0, -1, 'WITHSCORES'), redis.call('HGETALL', sold)}
