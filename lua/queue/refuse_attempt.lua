#!lua flags=allow-oom
-- The password was wrong, or the attempt was given up: its number is gone. The account's own place was never touched.
--
-- KEYS[1] hash: the room's settings and counters
-- KEYS[2] zset: pending, login attempt → number
-- KEYS[3] string: what became of the attempt: '!' refused or '-' withdrawn, from now on
-- KEYS[4] zset: grace, userId or attempt → when its kept place is given up, ms
-- ARGV[1] incarnation
-- ARGV[2] attempt
-- ARGV[3] what became of it
-- ARGV[4] how long the answer is remembered, ms
--
-- Answers: 'lost'; 'unknown' (given up, or told before); 'refused'.
-- Cost: O(log n) in the line.

local room, pending, fate, grace = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

if redis.call('HGET', room, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
local pends = redis.call('ZSCORE', pending, ARGV[2])
-- Also of one that was given up by its lease, so that nothing brings it back.
if pends or redis.call('GET', fate) == '?' then
  redis.call('SET', fate, ARGV[3], 'PX', tonumber(ARGV[4]))
end
if not pends then
  return {'unknown'}
end
redis.call('HINCRBY', room, 'ended', 1)
redis.call('ZREM', grace, ARGV[2])
redis.call('ZREM', pending, ARGV[2])
return {'refused'}
