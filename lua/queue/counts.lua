#!lua flags=no-writes
-- Counts a room at one moment: who is where, and what the counters say.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: waiting, userId → number
-- KEYS[3] zset: aside, userId → number
-- KEYS[4] zset: pending, login attempt → number
-- KEYS[5] hash: visits, userId → number and how far the visit is
-- KEYS[6] zset: active, userId → end of visit, ms
--
-- Answers: waiting, aside, pending, visits, active, joined, ended, capacity, admitted beyond the capacity.
-- Cost: O(1).

local room = KEYS[1]

local told = redis.call('HMGET', room, 'joined', 'ended', 'capacity', 'overAdmitted')
return {redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[4]),
  redis.call('HLEN', KEYS[5]), redis.call('ZCARD', KEYS[6]), told[1] or 0, told[2] or 0, told[3] or 0, told[4] or 0}
