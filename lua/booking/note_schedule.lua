#!lua
-- Notes that an account asks for seats of a schedule, so that its reservations are looked for there.
--
-- KEYS[1] zset: the account's schedules, schedule → when it last asked for seats there, ms
-- ARGV[1] schedule
-- ARGV[2] how long that is remembered, ms
--
-- Answers: 'noted'.
-- Cost: O(log n); keeps the latest 100.

local schedules = KEYS[1]
local keep_ms, LISTED = tonumber(ARGV[2]), 100

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', schedules, now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', schedules, '-inf', now - keep_ms)
redis.call('ZREMRANGEBYRANK', schedules, 0, -1 - LISTED)
redis.call('PEXPIRE', schedules, keep_ms)
return {'noted'}
