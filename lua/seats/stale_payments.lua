#!lua flags=no-writes
-- Tells which payments have been under way for longer than a payment takes.
--
-- KEYS[1] zset: paying, reservation → when a job looks after it, ms
-- ARGV[1] how many at most
--
-- Answers: the reservations, the oldest first.
-- Cost: O(log n + answer).

local paying = KEYS[1]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', paying, '-inf', now, 'LIMIT', 0, ARGV[1])
