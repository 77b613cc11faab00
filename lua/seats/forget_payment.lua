#!lua flags=allow-oom
-- Looks after a payment no longer whose reservation is not being paid any more, or is not remembered at all.
--
-- KEYS[1] hash: meta, the schedule's incarnation and version
-- KEYS[2] hash: the reservation
-- KEYS[3] zset: paying, reservation → when a job looks after it, ms
-- ARGV[1] incarnation
-- ARGV[2] reservation
--
-- Answers: 'lost'; 'paying' (it is under way: nothing happens); 'forgotten'.
-- Cost: O(log n).

local meta, reservation, paying = KEYS[1], KEYS[2], KEYS[3]
local id = ARGV[2]

if redis.call('HGET', meta, 'incarnation') ~= ARGV[1] then
  return {'lost'}
end
if redis.call('HGET', reservation, 'state') == 'paying' then
  return {'paying'}
end
redis.call('ZREM', paying, id)
return {'forgotten'}
