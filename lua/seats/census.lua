#!lua flags=no-writes
-- Tells every hold of a schedule, and how many of its seats are sold, at one moment.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] zset: held, seat → expiry, ms
-- KEYS[3] hash: sold, seat → reservation
--
-- Answers: now, ms; the version, 0 where there is none; how many are sold; the holds as pairs of seat and expiry.
-- Cost: O(held): for checks, not for visitors.

local meta, held, sold = KEYS[1], KEYS[2], KEYS[3]

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local version = redis.call('HGET', meta, 'version') or 0
return {now, version, redis.call('HLEN', sold), redis.call('ZRANGE', held, 0, -1, 'WITHSCORES')}
